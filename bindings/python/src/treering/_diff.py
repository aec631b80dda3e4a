# SPDX-License-Identifier: Apache-2.0
# diff: what differs between two checkpoints, or between a checkpoint and a tree in memory.
#
# The library compares, structure first and then values by their bits, on mapped files without
# copies. What is added here are tolerances, and how large a difference is: for leaves that differ
# only, block by block.
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _dtypes
from ._container import Container
from ._errors import about, check, new_error
from ._ffi import ffi, lib
from ._flatten import ARRAY, PRNG_KEY, Flattener
from ._load import _item
from ._logging import Timer
from ._nodes import NODE_SIZE, build, options
from ._opening import open_path
from ._progress import Watch
from ._rebuild import _number
from ._report import Finding, findings_of
from ._view import bytes_of

BLOCK = 1 << 22  # elements that are compared at once
SHOWN = 20  # lines of a repr for each group


class Change(NamedTuple):
    """A leaf that both have and that is not the same.

    Attributes:
        path: its display path.
        what: "kind", "dtype", "shape", "value" or "attributes".
        before, after: what a and b have, as text.
        elements: of a changed value, how many elements differ; None where that was not counted.
        size: of how many.
        largest: the largest absolute difference of two numbers; None where there is none.
    """

    path: str
    what: str
    before: str
    after: str
    elements: int | None = None
    size: int | None = None
    largest: float | None = None

    def __str__(self) -> str:
        if self.elements is not None:
            largest = "" if self.largest is None else f", by {self.largest:.6g} at most"
            return f"{self.path}: {self.elements} of {self.size} elements{largest}"
        return f"{self.path}: {self.what} {self.before or '-'} -> {self.after or '-'}"


class Diff:
    """The differences between a and b. True if there are any.

    Attributes:
        added: display paths that only b has.
        removed: display paths that only a has.
        changed: a list of `Change`.
    """

    def __init__(self, added: list[str], removed: list[str], changed: list[Change]) -> None:
        self.added, self.removed, self.changed = added, removed, changed

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield from (("+", path) for path in self.added)
        yield from (("-", path) for path in self.removed)
        yield from (("~", str(change)) for change in self.changed)

    def __repr__(self) -> str:
        head = f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
        lines, seen = [], {"+": 0, "-": 0, "~": 0}
        for mark, text in self._lines():
            seen[mark] += 1
            if seen[mark] <= SHOWN:
                lines.append(f"  {mark} {text}")
        lines += [f"  {mark} … {n - SHOWN} more" for mark, n in seen.items() if n > SHOWN]
        return "\n".join([f"<Diff: {head}", *lines]) + ">"

    def _repr_html_(self) -> str:
        from ._display import table_html

        head = f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
        return table_html(head, ("", "path"), list(self._lines()))

    def to_json(self) -> str:
        """A JSON text: {"added": […], "removed": […], "changed": [{"path": …, "what": …, …}]}."""
        import json

        changed = [change._asdict() for change in self.changed]
        for entry in changed:
            largest = entry["largest"]
            if largest is not None and not np.isfinite(largest):
                entry["largest"] = str(largest)
        return json.dumps({"added": self.added, "removed": self.removed, "changed": changed})


def diff(
    a: Any,
    b: Any,
    *,
    values: bool = True,
    rtol: float = 0.0,
    atol: float = 0.0,
    attributes: bool = False,
    item: str = "",
) -> Diff:
    """What differs between two checkpoints, or trees. Any thread may call it.

    Args:
        a, b: each a path (of a manager's directory: its latest step), a `Container`, or a tree.
        values: False: compare structure, dtypes and shapes only; no data are read.
        rtol, atol: numbers a and b count as equal if |a - b| <= atol + rtol * |b|, NaNs if both are.
            With both 0, values are equal if their bits are: -0.0 is not 0.0.
        attributes: compare these too: Variable types, sharding, whether NumPy or JAX saved it.
        item: which item of the files.

    Returns:
        A `Diff`, which is true if there are differences.

    Raises:
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file.
        CorruptionError: (an OSError) bytes that were to be compared are damaged.
        UnsupportedTypeError: (a TypeError) a tree holds what no checkpoint has a place for.

    >>> treering.save("a.ring", {"w": np.zeros(4), "step": 1})
    >>> treering.save("b.ring", {"w": np.array([0, 0, 0, 0.25]), "more": 2, "step": 1})
    >>> treering.diff("a.ring", "b.ring")
    <Diff: 1 added, 0 removed, 1 changed
      + more
      ~ w: 1 of 4 elements, by 0.25 at most>
    >>> treering.diff("a.ring", {"w": np.full(4, 1e-9), "step": 1}, atol=1e-6).changed
    []
    """
    if not (rtol >= 0 and atol >= 0):
        raise ValueError(f"rtol and atol are 0 or more, not {rtol} and {atol}")
    with Timer("compared two trees"):
        one, two = _Side(a, item, values), _Side(b, item, values)
        error, out = new_error(), ffi.new("treering_report **")
        settings = options(
            "treering_compare_options", ignore_values=not values, ignore_attributes=not attributes
        )
        check(lib.treering_tree_compare(out, one.tree, two.tree, settings, error), error)
        findings = findings_of(ffi.gc(out[0], lib.treering_report_free))
        changed = [_change(finding, one, two, rtol, atol) for finding in findings]
    return Diff(
        [finding.path for finding in findings if finding.kind == "unexpected"],
        [finding.path for finding in findings if finding.kind == "missing"],
        [change for change in changed if change is not None],
    )


class _Side:
    """One of the two, as a tree of the library."""

    def __init__(self, source: Any, item: str, values: bool) -> None:
        self.kept: Any = None
        if isinstance(source, (str, bytes, os.PathLike)):
            opened = open_path(source, mmap=True)
            self.tree = _loaded(opened.checkpoint, item, opened.name, values)
        elif isinstance(source, Container):
            self.tree = _loaded(source._checkpoint(), source.item, source.path, values)
        else:
            self.kept = Flattener().run(source)
            self.tree = build(self.kept)

    def value(self, path: str) -> Any:
        """The leaf at a path; arrays are flat."""
        text, error = path.encode("utf-8", "surrogatepass"), new_error()
        found, node = ffi.new("uint64_t *"), ffi.new("treering_node *")
        check(lib.treering_tree_find(found, self.tree, text, len(text), error), error)
        check(lib.treering_tree_node(node, NODE_SIZE, self.tree, found[0], error), error)
        if node.kind not in (ARRAY, PRNG_KEY):
            return _number(node.kind, ffi.buffer(node.data, node.data_size)[:] if node.data_size else b"")
        out = ffi.new("treering_blob **")
        check(lib.treering_tree_data(out, self.tree, found[0], error), error)
        raw = bytes_of(out[0])
        shape = tuple(node.shape[i] for i in range(node.rank))
        return _elements(raw, node.dtype, int(np.prod(shape, dtype=np.int64)))


def _loaded(checkpoint: Any, item: str, name: str, values: bool) -> Any:
    text = _item(checkpoint, item, name)[0].encode()
    out, error = ffi.new("treering_tree **"), new_error()
    with about(name), Watch() as watch:  # what must be copied can be interrupted
        settings = options("treering_load_options", abstract=not values, views=1, **watch.fields)
        status = lib.treering_checkpoint_load(out, checkpoint, text, len(text), settings, error)
        watch.check(status, error)
    return ffi.gc(out[0], lib.treering_tree_free)


def _elements(raw: npt.NDArray[Any], number: int, count: int) -> npt.NDArray[Any]:
    """The elements of a leaf, flat; packed ones each in a byte of its own."""
    bits = number & 255
    if bits in (2, 4) and raw.size != count:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        raw = ((raw[:, None] >> shifts) & ((1 << bits) - 1)).astype(np.uint8).reshape(-1)[:count]
    return raw.view(_dtypes.dtype_of(number))


def _change(finding: Finding, one: _Side, two: _Side, rtol: float, atol: float) -> Change | None:
    """The finding as a Change; None for one that is no change, or within the tolerances."""
    path, what = finding.path, finding.kind
    if what in ("missing", "unexpected"):
        return None
    if what != "value":
        return Change(path, what, finding.expected, finding.found)
    a, b = one.value(path), two.value(path)
    if not isinstance(a, np.ndarray):
        return _small_change(path, a, b, rtol, atol)
    differing, largest = 0, None
    for begin in range(0, a.size, BLOCK):
        count, step = _compare(a[begin : begin + BLOCK], b[begin : begin + BLOCK], rtol, atol)
        differing += count
        if step is not None and (largest is None or not largest >= step):
            largest = step
    if differing == 0:
        return None
    return Change(path, what, finding.expected, finding.found, differing, a.size, largest)


def _small_change(path: str, a: Any, b: Any, rtol: float, atol: float) -> Change | None:
    if isinstance(a, (bool, str, bytes)):
        return Change(path, "value", _short(a), _short(b))
    apart: float = float("inf")
    try:
        apart = abs(a - b)
        largest = float(apart)
    except OverflowError:
        largest = float("inf")
    if (rtol or atol) and ((a != a and b != b) or a == b or _is_near(apart, b, rtol, atol)):
        return None
    return Change(path, "value", _short(a), _short(b), largest=largest)


def _is_near(apart: float, b: Any, rtol: float, atol: float) -> bool:
    try:
        return bool(apart <= atol + rtol * abs(b))
    except OverflowError:  # ints beyond float64
        from fractions import Fraction

        endless = float("inf") in (rtol, atol)
        return endless or apart <= Fraction(atol) + Fraction(rtol) * abs(b)


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1000:  # Python writes no more than 4300 digits
        return f"{'-' if value < 0 else ''}(an int of {value.bit_length()} bits)"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _compare(
    a: npt.NDArray[Any], b: npt.NDArray[Any], rtol: float, atol: float
) -> tuple[int, float | None]:
    """(how many elements differ, by how much at most) of two blocks."""
    width = a.dtype.itemsize
    other = (a.view(np.uint8).reshape(-1, width) != b.view(np.uint8).reshape(-1, width)).any(axis=1)
    a, b = a[other], b[other]
    if a.size == 0:
        return 0, None
    wide: Any = np.float64
    if a.dtype.kind == "c":
        wide = np.complex128
    elif a.dtype.kind in "iu" and width == 8:
        wide = np.longdouble  # float64 has not enough digits for these
    x, y = a.astype(wide), b.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(x - y)
        if rtol or atol:
            close = (apart <= atol + rtol * np.abs(y)) | (x == y) | (np.isnan(x) & np.isnan(y))
            apart = apart[~close]
    finite = apart[~np.isnan(apart)]
    return int(apart.size), float(finite.max()) if finite.size else None
