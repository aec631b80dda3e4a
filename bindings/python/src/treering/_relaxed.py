# SPDX-License-Identifier: Apache-2.0
# What a load may do where checkpoint and target do not agree, each thing asked for by itself.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import PathNotFoundError
from ._ffi import ffi, lib

_CASTS = {
    "never": lib.TREERING_CAST_NEVER, "safe": lib.TREERING_CAST_SAFE, "any": lib.TREERING_CAST_ANY,
}  # fmt: skip


_NAMES = ("partial", "cast", "resize", "renames", "return_report")


class Relaxed:
    """The arguments of `load` by these names, checked."""

    def __init__(
        self,
        partial: bool = False,
        cast: str = "never",
        resize: bool = False,
        renames: Mapping[str, str] | None = None,
        return_report: bool = False,
    ) -> None:
        if cast not in _CASTS:
            meant = "; did you mean 'any'?" if repr(cast) == "True" else ""
            raise ValueError(f"cast is 'never', 'safe' or 'any', not {cast!r}{meant}")
        self.partial, self.cast, self.resize = bool(partial), cast, bool(resize)
        self.renames = dict(renames or {})
        self.return_report = bool(return_report)

    @classmethod
    def of(cls, function: str, given: dict[str, Any]) -> Relaxed:
        """From the arguments of `function` that it does not name itself."""
        unknown = [name for name in given if name not in _NAMES]
        if unknown:
            raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
        return cls(**given)

    def of_rename(self, error: PathNotFoundError, path: str) -> PathNotFoundError:
        """An error of a restore, which tells of a rename that names nothing, with what it misses."""
        if not self.renames:
            return error
        message = (
            f"renames for {path} is {self.renames!r}: from paths in the target to paths in the "
            f"checkpoint; {error.message}"
        )
        return PathNotFoundError(message, status=error.status, path=error.path, leaf=error.leaf)

    def is_strict(self) -> bool:
        asked = self.partial or self.resize or self.renames or self.return_report
        return not asked and self.cast == "never"

    def fields(self) -> tuple[dict[str, Any], Any]:
        """(fields of treering_restore_options, what they point into)."""
        array = ffi.new("treering_rename[]", len(self.renames))
        kept = []
        for slot, (target, stored) in zip(array, self.renames.items()):
            texts = [ffi.from_buffer("char[]", text.encode()) for text in (target, stored)]
            slot.target, slot.target_size = texts[0], len(texts[0])
            slot.stored, slot.stored_size = texts[1], len(texts[1])
            kept.append(texts)
        fields = {
            "cast": _CASTS[self.cast], "allow_missing": self.partial, "allow_unexpected": self.partial,
            "pad_or_truncate": self.resize, "renames": array,
            "rename_size": ffi.sizeof("treering_rename"), "rename_count": len(array),
        }  # fmt: skip
        return fields, (array, kept)


STRICT = Relaxed()
ADVICE = (
    "To load what fits: partial=True. To convert dtypes: cast='safe'. To leave a leaf out: put "
    "treering.PLACEHOLDER there."
)
