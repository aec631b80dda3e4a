# SPDX-License-Identifier: Apache-2.0
# The module that cffi generates. The C compiler has checked what is declared there; handles are Any.
from typing import Any

ffi: Any
lib: Any
