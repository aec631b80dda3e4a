# SPDX-License-Identifier: Apache-2.0
# Restoring into a target: the checkpoint has to agree with it, and its types are the result's.
from __future__ import annotations

from ._errors import check, error_of, new_error
from ._ffi import ffi, lib
from ._flatten import ALIAS, ARRAY, PRNG_KEY, Flattener
from ._nodes import NODE_SIZE, build, options, threads_for
from ._progress import Watch
from ._rebuild import _number


def _restore(checkpoint, name, target, nodes, progress=None):
    """`nodes()` gives the item's nodes, for a target that lies over several devices."""
    rows = Flattener(target=True, in_boxes=True).run(target)
    if rows.boxes:
        from . import _sharded

        if _sharded.locate(rows, nodes()):
            tree = _filled(checkpoint, name, rows, progress)
            _sharded.read(rows, checkpoint, progress)
            return _finished(rows, tree)
        rows = Flattener(target=True).run(target)
    return _finished(rows, _filled(checkpoint, name, rows, progress))


def _filled(checkpoint, name, rows, progress):
    """Has the library fill the rows' arrays; the tree that it answers."""
    tree = build(rows)
    error = new_error()
    out, report = ffi.new("treering_tree **"), ffi.new("treering_report **")
    total = sum(getattr(value, "nbytes", 0) for value in rows.values)
    threads = threads_for(total) if len(rows.values) <= 4096 else 0
    item = name.encode()
    with Watch(progress, "loading", total) as watch:
        settings = options("treering_restore_options", threads=threads, **watch.fields)
        status = lib.treering_checkpoint_restore(
            out, report, checkpoint, item, len(item), tree, settings, error
        )
        findings = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
        restored = ffi.gc(out[0], lib.treering_tree_free) if out[0] != ffi.NULL else None
        watch.reraise()
    if status != 0:
        raise _mismatch(error_of(error), findings)
    return restored


def _mismatch(exception, report):
    if report is None:
        return exception
    error, count = new_error(), ffi.new("uint64_t *")
    array = ffi.new("treering_finding[]", int(lib.treering_report_count(report)))
    size = ffi.sizeof("treering_finding")
    check(lib.treering_report_findings(report, 0, array, size, len(array), count, error), error)

    def text(data, size):
        return ffi.buffer(data, size)[:].decode("utf-8", "surrogateescape") if size else ""

    found = {lib.TREERING_FINDING_MISSING: [], lib.TREERING_FINDING_UNEXPECTED: []}
    different = []
    for finding in array:
        path = text(finding.path, finding.path_size)
        if finding.kind in found:
            found[finding.kind].append(path)
        elif finding.kind < lib.TREERING_FINDING_CAST:
            expected = text(finding.expected, finding.expected_size)
            different.append((path, expected, text(finding.found, finding.found_size)))
    exception.missing = found[lib.TREERING_FINDING_MISSING]
    exception.unexpected = found[lib.TREERING_FINDING_UNEXPECTED]
    exception.different = different
    first = next((f for f in array if f.kind < lib.TREERING_FINDING_CAST), None)
    if first is not None:
        exception.leaf = text(first.path, first.path_size)
        exception.expected = text(first.expected, first.expected_size)
        exception.found = text(first.found, first.found_size)
    text = ffi.string(lib.treering_report_text(report)).decode("utf-8", "replace").rstrip("\n")
    # Advice that names the C ABI's options is left out.
    lines = [line for line in text.split("\n") if line.startswith(" ")]
    summary = exception.message.partition("; To ")[0].partition("; If only ")[0]
    exception.message = summary
    exception.report = "\n".join([summary, *lines])
    exception.args = (exception.message,)
    return exception


def _finished(rows, tree):
    """The target's own containers and leaves, with the restored values."""
    kinds = [rows.table[code][0] for code in rows.codes]
    values = list(rows.values)
    others = [i for i, kind in enumerate(kinds) if ARRAY < kind < ALIAS and kind != PRNG_KEY]
    if others:
        _fetch(tree, kinds, values, others)
    for i, kind in enumerate(kinds):
        if kind >= ARRAY:
            finish = rows.finish[i]
            if type(finish) is int:  # the value of an earlier row
                values[i] = values[finish]
            elif finish is not None:
                values[i] = finish(values[i])
    stack = []
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


def _fetch(tree, kinds, values, positions):
    """Values of leaves that are no arrays, from the restored tree, whose preorder is the target's."""
    node = ffi.new("treering_node *")
    count, error = ffi.new("uint64_t *"), new_error()
    for i in positions:
        check(lib.treering_tree_nodes(tree, i, node, NODE_SIZE, 1, count, error), error)
        data = ffi.buffer(node.data, node.data_size)[:] if node.data_size else b""
        values[i] = _number(kinds[i], data)
