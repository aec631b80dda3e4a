# SPDX-License-Identifier: Apache-2.0
# The module that cffi generates. The C compiler has checked what is declared there; handles are Any.
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

class _FFI:
    NULL: Any

    def __getattr__(self, name: str) -> Any: ...
    def def_extern(
        self, name: str = ..., error: Any = ..., onerror: Any = ...
    ) -> Callable[[_F], _F]: ...

ffi: _FFI
lib: Any
