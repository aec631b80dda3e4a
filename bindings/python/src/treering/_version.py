# SPDX-License-Identifier: Apache-2.0
# The version of the compiled core.
from ._ffi import ffi, lib

__version__ = ffi.string(lib.treering_version()).decode()
