# SPDX-License-Identifier: Apache-2.0
# The refusals that reading a foreign checkpoint has, each with where and what.
from __future__ import annotations

from .._errors import CheckpointNotFoundError, CorruptionError, LimitError, UnsupportedError
from .._ffi import lib


def damaged(where: str, what: str, offset: int | None = None) -> CorruptionError:
    """What is at `where` cannot be what was written."""
    return CorruptionError(f"{where}: {what}", status=lib.TREERING_CORRUPT, offset=offset)


def failed_checksum(where: str, stored: int, found: int) -> CorruptionError:
    """The bytes at `where` are not those that their CRC-32C was taken of."""
    return CorruptionError(
        f"{where}: CRC-32C is {found:08x}, stored is {stored:08x}; the file is damaged",
        status=lib.TREERING_CORRUPT_CHECKSUM,
    )


def unsupported(where: str, what: str) -> UnsupportedError:
    """Something that exists and is not read here."""
    return UnsupportedError(f"{where}: {what}", status=lib.TREERING_UNSUPPORTED)


def too_large(where: str, what: str) -> LimitError:
    """Beyond what any sane checkpoint holds."""
    return LimitError(f"{where}: {what}", status=lib.TREERING_LIMIT)


def missing(where: str, what: str) -> CheckpointNotFoundError:
    """A file that should be there is not."""
    return CheckpointNotFoundError(f"{where}: {what}", status=lib.TREERING_NOT_FOUND_FILE)
