# SPDX-License-Identifier: Apache-2.0
# Trees for people: indented lines and HTML, in which repeated siblings are shown once.
#
# A network of 80 equal layers is one entry, "layers/[0-79]", not 80: siblings whose names differ in
# a number only, and that agree in everything below them, make a group. What is longer than the limit
# is cut, with a line that says how much is missing.
from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from ._flatten import display
from ._values import AbstractLeaf, Record

LINES = 60  # of a repr
HTML_NODES = 400
_NUMBER = re.compile(r"(.*?)(\d{1,9})", re.DOTALL)


class Line(NamedTuple):
    """One node, or one group of equal siblings."""

    depth: int
    label: str
    text: str
    is_leaf: bool


def children_of(value: Any) -> list[tuple[str, Any]] | None:
    """(display name, child) of each child of a container; None for a leaf."""
    if isinstance(value, Record):
        return [(display(key), child) for key, child in value.fields.items()]
    if isinstance(value, tuple) and hasattr(type(value), "_fields"):
        return list(zip(getattr(value, "_fields"), value))
    if isinstance(value, (list, tuple)):
        return [(str(i), child) for i, child in enumerate(value)]
    if isinstance(value, Mapping):
        return [(display(k) if isinstance(k, (str, int)) else str(k), v) for k, v in value.items()]
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(value, nnx.Variable):  # one that holds a container
        return [("value", value.get_raw_value())]
    if hasattr(type(value), "__dataclass_fields__") and not isinstance(value, type):
        names = [name for name in type(value).__dataclass_fields__ if hasattr(value, name)]
        return [(name, getattr(value, name)) for name in names]
    return None


def size_text(size: float) -> str:
    """1536 as "1.5 KiB"."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if size < 1024 or unit == "PiB":
            return f"{size:.1f} {unit}"
    raise AssertionError


def leaf_text(value: Any) -> str:
    """What a leaf is, in a few words."""
    if isinstance(value, AbstractLeaf):
        return _abstract_text(value)
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and isinstance(shape, tuple):
        return f"{dtype}[{','.join(map(str, shape))}]"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _abstract_text(leaf: AbstractLeaf) -> str:
    """dtype and shape, and of the attributes what tells leaves apart: "float32[3,4] Param"."""
    text = leaf.kind
    if leaf.dtype is not None:
        text = f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]"
        text = text if leaf.kind == "array" else f"{leaf.kind} {text}"
    found = leaf.attributes
    if "variable_type" in found:
        text += f" {found['variable_type'][0]}"
    for name in ("tag", "prng_impl", "scalar"):
        if name in found:
            text += f" {name}={found[name]}"
    sharding = found.get("sharding")
    if isinstance(sharding, dict) and "spec" in sharding:
        text += f" sharding={sharding['spec']}"
    return text


def _node_text(value: Any, count: int) -> str:
    name = value.type_name if isinstance(value, Record) else type(value).__name__
    name = (name or "Record").rpartition(":")[2].rpartition(".")[2]
    return f"{name} of {count}"


class _Forms:
    """Gives equal subtrees one number, so that comparing siblings is comparing numbers."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}
        self.of_object: dict[int, int] = {}
        self.kept: list[Any] = []  # or an id could come back for another object

    def form(self, value: Any) -> int:
        found = self.of_object.get(id(value))
        if found is not None:
            return found
        children = children_of(value)
        key: Any
        if children is None:
            key = leaf_text(value)
        else:
            shapes = tuple((name, self.form(child)) for name, child in children)
            key = (_node_text(value, len(children)), shapes)
        number = self.known.setdefault(key, len(self.known))
        self.of_object[id(value)] = number
        self.kept.append(value)
        return number


def _groups(children: list[tuple[str, Any]], forms: _Forms) -> list[tuple[str, Any]]:
    """The children, neighbours that are numbered on and equal as one: ("[0-11]", the first)."""
    result: list[tuple[str, Any]] = []
    run: list[tuple[str, int, Any]] = []

    def flush() -> None:
        if len(run) > 2:
            result.append((f"{run[0][0]}[{run[0][1]}-{run[-1][1]}]", run[0][2]))
        else:
            result.extend((f"{stem}{number}", value) for stem, number, value in run)
        run.clear()

    for name, value in children:
        match = _NUMBER.fullmatch(name)
        if match is None or (len(match[2]) > 1 and match[2][0] == "0"):
            flush()
            result.append((name, value))
            continue
        stem, number = match[1], int(match[2])
        if run and (stem, number) != (run[-1][0], run[-1][1] + 1):
            flush()
        if run and forms.form(value) != forms.form(run[-1][2]):
            flush()
        run.append((stem, number, value))
    flush()
    return result


def lines_of(tree: Any, collapse: bool = True) -> Iterator[Line]:
    """The lines of a tree, in order; a container comes before what it holds."""
    forms = _Forms()
    stack: list[tuple[int, str, Any]] = [(0, "", tree)]
    while stack:
        depth, label, value = stack.pop()
        children = children_of(value)
        if children is None:
            yield Line(depth, label, leaf_text(value), True)
            continue
        yield Line(depth, label, _node_text(value, len(children)), False)
        shown = _groups(children, forms) if collapse else children
        stack.extend((depth + 1, name, child) for name, child in reversed(shown))


def format_tree(tree: Any, *, collapse: bool = True, max_lines: int | None = LINES) -> str:
    """A tree as indented lines.

    Args:
        tree: any tree: of arrays, of what `metadata` gives, of anything.
        collapse: show equal numbered siblings, such as the layers of a network, once.
        max_lines: cut after so many; None: never.

    Returns:
        The text, without a newline at its end.

    >>> layer = {"w": treering.AbstractLeaf("f4", (8, 8)), "b": treering.AbstractLeaf("f4", (8,))}
    >>> print(treering.format_tree({"layers": [layer] * 12, "step": 3}))
    dict of 2
      layers: list of 12
        [0-11]: dict of 2
          w: float32[8,8]
          b: float32[8]
      step: 3
    """
    shown: list[str] = []
    left = 0
    for line in lines_of(tree, collapse):
        if max_lines is not None and len(shown) >= max_lines:
            left += 1
            continue
        label = f"{line.label}: " if line.depth else ""
        shown.append("  " * line.depth + label + line.text)
    if left:
        shown.append(f"… {left} more lines")
    return "\n".join(shown)


# ---- HTML, for notebooks


def tree_html(tree: Any, title: str = "") -> str:
    """A tree as nested <details>; all that comes from the tree is escaped."""
    parts = ['<div class="treering" style="font-family: monospace">']
    if title:
        parts.append(f"<div><b>{escape(title)}</b></div>")
    depth, shown, left = 0, 0, 0
    for line in lines_of(tree):
        if shown >= HTML_NODES:
            left += 1
            continue
        shown += 1
        parts.append("</details>" * (depth - line.depth))
        depth = line.depth
        label = f"<b>{escape(line.label)}</b> " if line.label else ""
        style = "margin-left: 1.5em" if line.depth else "margin-left: 0"
        if line.is_leaf:
            parts.append(f'<div style="{style}">{label}{escape(line.text)}</div>')
        else:
            opened = " open" if line.depth < 2 else ""
            summary = f"<summary>{label}<i>{escape(line.text)}</i></summary>"
            parts.append(f'<details{opened} style="{style}">{summary}')
            depth += 1
    parts.append("</details>" * depth)
    if left:
        parts.append(f"<div>… {left} more nodes</div>")
    parts.append("</div>")
    return "".join(parts)


def table_html(
    title: str, head: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> str:
    """A table of texts, all escaped, cut after HTML_NODES rows."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows[:HTML_NODES]
    )
    more = f"<div>… {len(rows) - HTML_NODES} more</div>" if len(rows) > HTML_NODES else ""
    table = f"<table><tr>{cells}</tr>{body}</table>" if rows else ""
    return f'<div class="treering"><div><b>{escape(title)}</b></div>{table}{more}</div>'


def findings_html(title: str, findings: list[Any]) -> str:
    """A table of `Finding`s."""
    rows = [(f.path, f.kind, f.expected, f.found, f.nearest) for f in findings]
    return table_html(title, ("path", "what", "expected", "found", "nearest"), rows)
