# SPDX-License-Identifier: Apache-2.0
# Restoring into a target: the checkpoint has to agree with it, and its types are the result's.
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._errors import StructureMismatchError, TreeringError, check, error_of, new_error
from ._ffi import ffi, lib
from ._flatten import ALIAS, ARRAY, PRNG_KEY, Flattener, display
from ._nodes import NODE_SIZE, build, options, threads_for
from ._progress import Progress, Watch
from ._rebuild import _number
from ._relaxed import ADVICE, STRICT, Relaxed
from ._report import DIFFERENT, Finding, LoadReport, findings_of, text_at


def _restore(
    checkpoint: Any,
    name: str,
    target: Any,
    nodes: Callable[[], Any],
    progress: Progress = None,
    relaxed: Relaxed = STRICT,
) -> Any:
    """`nodes()` gives the item's nodes.

    Of a leaf that is stored under several paths, the target need not have all of them.
    """
    try:
        return _agreeing(checkpoint, name, target, nodes, progress, relaxed)
    except StructureMismatchError as error:
        only_unexpected = error.unexpected and not error.missing and not error.different
        if not only_unexpected or not relaxed.is_strict():
            raise
        if not _are_spare_names(set(error.unexpected), checkpoint, nodes()):
            raise
    return _agreeing(checkpoint, name, target, nodes, progress, Relaxed(partial=True))


def _are_spare_names(paths: set[str], checkpoint: Any, nodes: Any) -> bool:
    """Whether each of these leaves is stored under another path too, which is not one of these."""
    names: dict[int, set[str]] = {}  # of each leaf that has several
    for position, of in nodes.aliases:
        for node in (position, of):
            names.setdefault(of, set()).add(_path_of(checkpoint, nodes.root + node))
    spare = [found for found in names.values() if found - paths]
    return paths <= set().union(*spare)


def _path_of(checkpoint: Any, node: int) -> str:
    size, error, room = ffi.new("uint64_t *"), new_error(), ffi.new("char[]", 256)
    while True:
        status = lib.treering_checkpoint_path(checkpoint, node, room, len(room), size, error)
        check(status, error)
        if size[0] <= len(room):
            return text_at(room, size[0])
        room = ffi.new("char[]", int(size[0]))


def _agreeing(
    checkpoint: Any,
    name: str,
    target: Any,
    nodes: Callable[[], Any],
    progress: Progress,
    relaxed: Relaxed,
) -> Any:
    rows = Flattener(target=True, in_boxes=not relaxed.renames).run(target)
    found = False
    if rows.boxes:
        from . import _sharded

        found = _sharded.locate(rows, nodes())
        if not found:
            rows = Flattener(target=True).run(target)
    tree, findings = _filled(checkpoint, name, rows, progress, relaxed)
    if found:
        from . import _sharded

        _sharded.read(rows, checkpoint, progress)
    kept: set[int] = set()
    if relaxed.partial or relaxed.return_report:
        findings = _sorted_out(rows, findings_of(findings), kept)
    result = _finished(rows, tree, kept)
    return (result, LoadReport(findings)) if relaxed.return_report else result


def _filled(
    checkpoint: Any, name: str, rows: Flattener, progress: Progress, relaxed: Relaxed
) -> tuple[Any, Any]:
    """Has the library fill the rows' arrays: the tree and the report that it answers."""
    tree = build(rows)
    error = new_error()
    out, report = ffi.new("treering_tree **"), ffi.new("treering_report **")
    total = sum(getattr(value, "nbytes", 0) for value in rows.values)
    threads = threads_for(total) if len(rows.values) <= 4096 else 0
    item, (fields, kept) = name.encode(), relaxed.fields()
    with Watch(progress, "loading", total) as watch:
        settings = options("treering_restore_options", threads=threads, **fields, **watch.fields)
        status = lib.treering_checkpoint_restore(
            out, report, checkpoint, item, len(item), tree, settings, error
        )
        findings = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
        restored = ffi.gc(out[0], lib.treering_tree_free) if out[0] != ffi.NULL else None
        watch.reraise()
    if status != 0:
        raise _mismatch(error_of(error), findings)
    del kept
    return restored, findings


def _mismatch(exception: TreeringError, report: Any) -> TreeringError:
    """The exception with all that the report says of what does not agree."""
    if report is None or not isinstance(exception, StructureMismatchError):
        return exception
    found = LoadReport(findings_of(report))
    exception.missing, exception.unexpected = found.missing, found.unexpected
    exception.different = [(f.path, f.expected, f.found) for f in found.different]
    wrong = found.of("missing", "unexpected", *DIFFERENT)
    if wrong:
        first = wrong[0]
        exception.leaf, exception.expected, exception.found = first.path, first.expected, first.found
    text = ffi.string(lib.treering_report_text(report)).decode("utf-8", "replace").rstrip("\n")
    # Advice that names the C ABI's options is left out.
    lines = [line for line in text.split("\n") if line.startswith(" ")]
    summary = exception.message.partition("; To ")[0].partition("; If only ")[0]
    exception.message = summary
    exception.report = "\n".join([summary, *lines, ADVICE])
    exception.args = (exception.message,)
    return exception


def _sorted_out(rows: Flattener, findings: list[Finding], kept: set[int]) -> list[Finding]:
    """The findings of the whole, with the arrays that were read by boxes among the restored. `kept`
    gets the rows whose value stays."""
    row_at = {path: row for row, path in enumerate(_paths(rows))}
    for i, finding in enumerate(findings):
        row = row_at.get(finding.path)
        if finding.kind == "kept" and row is not None:
            kept.add(row)
        elif finding.kind == "skipped" and row in rows.boxes:
            findings[i] = finding._replace(kind="restored")
    return findings


def _paths(rows: Flattener) -> Iterator[str]:
    """The display path of each row."""
    above: list[list[Any]] = []  # [children to come, next position, prefix]
    for i, code in enumerate(rows.codes):
        while above and above[-1][0] == 0:
            above.pop()
        path = ""
        if above:
            level = above[-1]
            key = level[1] if rows.keys[i] is None else rows.keys[i]
            path = level[2] + display(key)
            level[0] -= 1
            level[1] += 1
        yield path
        if rows.table[code][0] < ARRAY:
            above.append([rows.values[i], 0, f"{path}/" if path else ""])


def _finished(rows: Flattener, tree: Any, kept: set[int]) -> Any:
    """The target's own containers and leaves, with the restored values."""
    kinds = [rows.table[code][0] for code in rows.codes]
    values = list(rows.values)
    others = [i for i, kind in enumerate(kinds) if ARRAY < kind < ALIAS and kind != PRNG_KEY]
    others = [i for i in others if i not in kept]
    if others:
        _fetch(tree, kinds, values, others)
    for i, kind in enumerate(kinds):
        if kind >= ARRAY:
            finish = rows.finish[i]
            if i in kept:
                values[i] = rows.originals[i]
            elif type(finish) is int:  # the value of an earlier row
                values[i] = values[finish]
            elif finish is not None:
                values[i] = finish(values[i])
    stack: list[Any] = []
    for i in range(len(kinds) - 1, -1, -1):
        if kinds[i] < ARRAY:
            count = rows.values[i]
            children = stack[len(stack) - count :][::-1]
            del stack[len(stack) - count :]
            stack.append(rows.finish[i]([key for key, _ in children], [value for _, value in children]))
        else:
            stack.append(values[i])
        key = rows.keys[i]
        if type(key) is bytes:
            key = int.from_bytes(key, "little", signed=True)
        stack[-1] = (key, stack[-1])
    return stack[0][1]


def _fetch(tree: Any, kinds: list[int], values: list[Any], positions: list[int]) -> None:
    """Values of leaves that are no arrays, from the restored tree, whose preorder is the target's."""
    node = ffi.new("treering_node *")
    count, error = ffi.new("uint64_t *"), new_error()
    for i in positions:
        check(lib.treering_tree_nodes(tree, i, node, NODE_SIZE, 1, count, error), error)
        data = ffi.buffer(node.data, node.data_size)[:] if node.data_size else b""
        values[i] = _number(kinds[i], data)
