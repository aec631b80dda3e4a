# SPDX-License-Identifier: Apache-2.0
# Compiles the core, several files at a time, and links it into the module that cffi generates.
import glob
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import build_ffi  # noqa: E402


class BuildWithCore(build_ext):
    def build_extension(self, ext):
        ext.extra_objects = self.core_objects() + list(ext.extra_objects or [])
        ext.language = "c++"
        self.force = True  # setuptools knows nothing of the headers and the core
        super().build_extension(ext)

    def core_objects(self):
        source = os.path.join(build_ffi.CORE, "src")
        files = sorted(glob.glob(os.path.join(source, "*", "*.cc")))
        files = [name for name in files if os.path.basename(os.path.dirname(name)) != "cli"]
        processors = os.cpu_count() or 1
        if hasattr(os, "sched_getaffinity"):
            processors = len(os.sched_getaffinity(0))
        headers = [
            name
            for folder in ("src", "include")
            for name in glob.glob(os.path.join(build_ffi.CORE, folder, "*", "*.h"))
        ]
        version = os.path.join(build_ffi.CORE, "meson.build")
        self.newest = max(map(os.path.getmtime, headers + [__file__, version]))
        os.makedirs(self.build_temp, exist_ok=True)
        with ThreadPoolExecutor(processors) as pool:
            return sum(pool.map(lambda name: self.compile_one(source, name), files), [])

    def compile_one(self, source, name):
        (made,) = self.compiler.object_filenames([name], output_dir=self.build_temp)
        if os.path.exists(made) and os.path.getmtime(made) > max(self.newest, os.path.getmtime(name)):
            return [made]
        return self.compiler.compile(
            [name],
            output_dir=self.build_temp,
            macros=[("TREERING_BUILD_VERSION", f'"{build_ffi.version()}"'), ("NDEBUG", None)],
            include_dirs=[source, os.path.join(build_ffi.CORE, "include")],
            extra_postargs=["-std=c++17", "-O2", "-g0", "-fvisibility=hidden", "-pthread"],
        )


limited = build_ffi.stable_abi()
setup(
    version=build_ffi.version(),
    cffi_modules=["build_ffi.py:ffi"],
    cmdclass={"build_ext": BuildWithCore},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if limited else {},
)
