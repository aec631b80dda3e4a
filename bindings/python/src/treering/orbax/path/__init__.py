# SPDX-License-Identifier: Apache-2.0
# Paths of steps, under the names of ocp.path.
"""`ocp.path.step`: name formats and the search for steps."""

from . import step

__all__ = ["step"]
