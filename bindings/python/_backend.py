# SPDX-License-Identifier: Apache-2.0
# Setuptools' build backend, with one addition: an sdist carries the core that lies two folders up.
import os
import shutil

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F401,F403

HERE = os.path.dirname(os.path.abspath(__file__))
CORE = os.path.join(HERE, "core")


def build_sdist(sdist_directory, config_settings=None):
    checkout = os.path.dirname(os.path.dirname(HERE))
    if not os.path.isfile(os.path.join(checkout, "include/treering/treering.h")):
        return build_meta.build_sdist(sdist_directory, config_settings)  # from an sdist
    shutil.rmtree(CORE, ignore_errors=True)
    try:
        for name in ("include", "src"):
            shutil.copytree(os.path.join(checkout, name), os.path.join(CORE, name))
        shutil.copy(os.path.join(checkout, "meson.build"), CORE)
        shutil.copy(os.path.join(checkout, "LICENSE"), CORE)
        return build_meta.build_sdist(sdist_directory, config_settings)
    finally:
        shutil.rmtree(CORE, ignore_errors=True)
