# SPDX-License-Identifier: Apache-2.0
# verify: whether every byte of a checkpoint, or of a manager's directory, is as it was written.
from __future__ import annotations

import os
from typing import Any

from ._errors import CorruptionError, TreeringError, about, check, error_of, new_error
from ._ffi import ffi, lib
from ._logging import Timer
from ._metadata import info_of
from ._nodes import options, threads_for
from ._opening import AnyPath, open_path, open_store, shown
from ._progress import Progress, Watch
from ._report import Finding, findings_of

# What lies in a directory besides and is no damage.
_HARMLESS = ("leftover", "unknown name")
_CLASSES = (lib.TREERING_CORRUPT, lib.TREERING_UNSUPPORTED, lib.TREERING_LIMIT, lib.TREERING_IO)


class VerifyReport:
    """What a verification found. True if all is intact.

    Attributes:
        path: what was verified, for people.
        findings: a list of `Finding`; leftovers and unknown names in a directory are no damage.
        error: what `raise_if_damaged` raises; None if all is intact.
    """

    def __init__(self, path: str, findings: list[Finding], error: TreeringError | None) -> None:
        self.path, self.findings, self.error = path, findings, error

    @property
    def ok(self) -> bool:
        return self.error is None

    def __bool__(self) -> bool:
        return self.ok

    @property
    def damaged(self) -> list[str]:
        """The paths of what is damaged or cannot be read, each once."""
        paths = (finding.path for finding in self.findings if finding.kind not in _HARMLESS)
        return list(dict.fromkeys(paths))

    def raise_if_damaged(self) -> None:
        """Raises the worst finding, if there is damage.

        Raises:
            CorruptionError: (an OSError) bytes are not what they were.
            UnsupportedError: something in it is not known to this version.
        """
        if self.error is not None:
            raise self.error

    def __repr__(self) -> str:
        head = "intact" if self.ok else f"{len(self.damaged)} damaged"
        lines = [f"  {finding}" for finding in self.findings[:20]]
        if len(self.findings) > 20:
            lines.append(f"  … {len(self.findings) - 20} more")
        return "\n".join([f"<VerifyReport of {self.path}: {head}", *lines]) + ">"

    def _repr_html_(self) -> str:
        from ._display import findings_html

        head = "intact" if self.ok else f"{len(self.damaged)} damaged"
        return findings_html(f"{self.path}: {head}", self.findings)


def verify(
    path: AnyPath, *, step: int | str | None = None, progress: Progress = None
) -> VerifyReport:
    """Reads and checks every byte: checksums, records, order, totals, padding.

    Damage is what the report tells, and no exception. Ctrl-C ends it. Any thread may call it.

    Args:
        path: a checkpoint file, or a manager's directory, of which all versions are checked.
        step: of a manager's directory: this step only; "latest": the latest.
        progress: True for a bar of tqdm, or a function of (bytes done, bytes in all).

    Raises:
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file or step.
        NotTreeringError: (a ValueError) it is no checkpoint.

    >>> treering.save("net.ring", {"w": np.arange(1000.0)})
    >>> treering.verify("net.ring")
    <VerifyReport of net.ring: intact>
    >>> data = bytearray(open("net.ring", "rb").read())
    >>> data[5000] ^= 1
    >>> open("damaged.ring", "wb").write(data) == len(data)
    True
    >>> report = treering.verify("damaged.ring")
    >>> report.ok, report.damaged
    (False, ['w'])
    """
    with Timer("verified '%s'", shown(path)), Watch(progress, f"verifying {shown(path)}") as watch:
        if step is None and os.path.isdir(os.fspath(path)):
            return _verified_store(path, watch)
        try:
            opened = open_path(path, step)
        except CorruptionError as error:
            name = shown(path) if step is None else f"step {step} of '{shown(path)}'"
            return VerifyReport(name, [Finding("damaged", name, found=str(error))], error)
        settings = _settings(info_of(opened.checkpoint)["file_size"], watch)
        out, told = ffi.new("treering_report **"), new_error()
        status = lib.treering_checkpoint_verify(out, opened.checkpoint, settings, told)
        return _report(opened.name, shown(path), (out, status, told), watch)


def _verified_store(path: AnyPath, watch: Watch, manager: Any = None, full: bool = True) -> VerifyReport:
    if manager is None:
        manager = open_store(path)
    out, error = ffi.new("treering_report **"), new_error()
    settings = _settings(1 << 30, watch)
    status = lib.treering_manager_verify(out, manager, full, settings, error)
    return _report(shown(path), shown(path), (out, status, error), watch)


def verified_manager(manager: Any, directory: str, full: bool, progress: Progress) -> VerifyReport:
    """Of an open manager's handle."""
    with Watch(progress, f"verifying {directory}") as watch:
        return _verified_store(directory, watch, manager, full)


def _settings(size: int, watch: Watch) -> Any:
    return options("treering_read_options", threads=threads_for(size), **watch.fields)


def _report(name: str, path: str, answer: tuple[Any, int, Any], watch: Watch) -> VerifyReport:
    out, status, error = answer
    report = ffi.gc(out[0], lib.treering_report_free) if out[0] != ffi.NULL else None
    watch.reraise()
    findings = findings_of(report) if report is not None else []
    if status == 0:
        return VerifyReport(name, findings, None)
    told = status & 255 in _CLASSES or status == lib.TREERING_NOT_FOUND_FILE
    with about(path):
        if report is None or not told:
            check(status, error)
    worst = error_of(error)
    worst.path = path
    first = next((finding for finding in findings if finding.kind not in _HARMLESS), None)
    if first is not None:
        worst.leaf, worst.expected, worst.found = first.path, first.expected, first.found
        worst.offset = first.offset
    return VerifyReport(name, findings, worst)
