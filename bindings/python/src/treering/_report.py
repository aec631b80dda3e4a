# SPDX-License-Identifier: Apache-2.0
# Findings of the library as Python objects: of a restore, a comparison, a verification.
from __future__ import annotations

from typing import Any, NamedTuple

from ._errors import check, new_error
from ._ffi import ffi, lib

_KINDS = {
    lib.TREERING_FINDING_MISSING: "missing",
    lib.TREERING_FINDING_UNEXPECTED: "unexpected",
    lib.TREERING_FINDING_DIFFERENT_KIND: "kind",
    lib.TREERING_FINDING_DIFFERENT_DTYPE: "dtype",
    lib.TREERING_FINDING_DIFFERENT_SHAPE: "shape",
    lib.TREERING_FINDING_DIFFERENT_VALUE: "value",
    lib.TREERING_FINDING_DIFFERENT_ATTRIBUTES: "attributes",
    lib.TREERING_FINDING_CAST: "cast",
    lib.TREERING_FINDING_PADDED: "padded",
    lib.TREERING_FINDING_TRUNCATED: "truncated",
    lib.TREERING_FINDING_RENAMED: "renamed",
    lib.TREERING_FINDING_KEPT: "kept",
    lib.TREERING_FINDING_SKIPPED: "skipped",
    lib.TREERING_FINDING_RESTORED: "restored",
    lib.TREERING_FINDING_DAMAGED: "damaged",
    lib.TREERING_FINDING_INVALID: "invalid",
    lib.TREERING_FINDING_UNREADABLE: "unreadable",
    lib.TREERING_FINDING_SKIPPED_VERSION: "skipped version",
    lib.TREERING_FINDING_BAD_RECORD: "bad record",
    lib.TREERING_FINDING_LEFTOVER: "leftover",
    lib.TREERING_FINDING_UNKNOWN_NAME: "unknown name",
}
DIFFERENT = ("kind", "dtype", "shape", "value", "attributes")


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        kind: "missing", "unexpected"; what differs: "kind", "dtype", "shape", "value", "attributes";
            of a restore: "restored", "cast", "padded", "truncated", "renamed", "kept", "skipped"; of
            a verification: "damaged", "invalid", "unreadable", "skipped version", "bad record",
            "leftover", "unknown name".
        path: the display path of the leaf, or the name of a file.
        expected, found: what was wanted and what is there, as text; "" where that does not apply.
        nearest: the nearest path that exists, or "".
        status: the name of the status that reading it would answer, or "".
        offset: bytes from the start of the file, or None.
    """

    kind: str
    path: str
    expected: str = ""
    found: str = ""
    nearest: str = ""
    status: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        more = ""
        if self.expected:
            more = f": expected {self.expected}" + (f", found {self.found}" if self.found else "")
        elif self.found:
            more = f": {self.found}"
        if self.nearest:
            more += f"; did you mean {self.nearest}?"
        if self.offset is not None:
            more += f" (at byte {self.offset})"
        return f"{self.path or '(root)'}: {self.kind}{more}"


def text_at(data: Any, size: int) -> str:
    return ffi.buffer(data, size)[:].decode("utf-8", "surrogateescape") if size else ""


def findings_of(report: Any) -> list[Finding]:
    """All findings of a treering_report."""
    error, count = new_error(), ffi.new("uint64_t *")
    array = ffi.new("treering_finding[]", int(lib.treering_report_count(report)))
    size = ffi.sizeof("treering_finding")
    check(lib.treering_report_findings(report, 0, array, size, len(array), count, error), error)
    return [_finding(entry) for entry in array]


def _finding(entry: Any) -> Finding:
    status = ""
    if entry.status:
        status = ffi.string(lib.treering_status_name(entry.status)).decode()
    return Finding(
        _KINDS.get(entry.kind, f"finding {entry.kind}"),
        text_at(entry.path, entry.path_size),
        text_at(entry.expected, entry.expected_size),
        text_at(entry.found, entry.found_size),
        text_at(entry.nearest, entry.nearest_size),
        status,
        None if entry.offset == lib.TREERING_NO_OFFSET else entry.offset,
    )


class LoadReport:
    """What a load into a target has done.

    Attributes:
        findings: all of them, a list of `Finding`.
        restored: paths of the leaves that were read as they were stored.
        missing: paths that the target has and the checkpoint has not.
        unexpected: paths that the checkpoint has and the target has not.
        different: findings where both have something else at a path.
        cast, padded, truncated, renamed: findings: restored with that relaxation.
        kept: paths where the target's value stays.
        skipped: paths that a placeholder or filter left out.

    >>> from treering._report import Finding
    >>> LoadReport([Finding("restored", "a"), Finding("cast", "b", "float32[]", "float64[]")])
    LoadReport(restored=1, cast=1)
    """

    __slots__ = ("findings",)

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings

    def of(self, *kinds: str) -> list[Finding]:
        """The findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def _paths(self, kind: str) -> list[str]:
        return [finding.path for finding in self.findings if finding.kind == kind]

    @property
    def restored(self) -> list[str]:
        return self._paths("restored")

    @property
    def missing(self) -> list[str]:
        return self._paths("missing")

    @property
    def unexpected(self) -> list[str]:
        return self._paths("unexpected")

    @property
    def kept(self) -> list[str]:
        return self._paths("kept")

    @property
    def skipped(self) -> list[str]:
        return self._paths("skipped")

    @property
    def different(self) -> list[Finding]:
        return self.of(*DIFFERENT)

    @property
    def cast(self) -> list[Finding]:
        return self.of("cast")

    @property
    def padded(self) -> list[Finding]:
        return self.of("padded")

    @property
    def truncated(self) -> list[Finding]:
        return self.of("truncated")

    @property
    def renamed(self) -> list[Finding]:
        return self.of("renamed")

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for finding in self.findings:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
        return f"LoadReport({', '.join(f'{kind}={count}' for kind, count in counts.items())})"

    def _repr_html_(self) -> str:
        from ._display import findings_html

        return findings_html(repr(self), [f for f in self.findings if f.kind != "restored"])
