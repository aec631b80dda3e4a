# SPDX-License-Identifier: Apache-2.0
# save: one call from a pytree to a durable file.
from . import _values
from ._errors import check, new_error
from ._ffi import ffi, lib
from ._flatten import Flattener
from ._nodes import build, encoded, json_text, options, threads_for

_NOTHING = object()


def save(path, tree=_NOTHING, *, overwrite=False, items=None, metadata=None):
    """Saves `tree` as the checkpoint file `path`; when this returns, it is on the disk.

    The file appears whole or not at all. One that exists is an AlreadyExistsError (a
    FileExistsError) unless `overwrite`, and then it stays until the new one is whole.

    `items` adds further things under names of their own: trees, `treering.Json(value)`,
    `treering.Blob(bytes)`; `load(path, item=name)` gets them. The tree itself is the item
    "default" and may be left out if there are items. `metadata` is a JSON document about the
    checkpoint (step, metrics, …), which `info` shows.

    Arrays are not copied (but for those of a foreign byte order, and those of JAX that are not in
    the host's memory as one): they must not change until the call returns. Ctrl-C is seen then.
    """
    wanted = {} if tree is _NOTHING else {"default": tree}
    for name, value in (items or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"an item's name is a str, not {name!r}")
        if name in wanted:
            raise ValueError(f"item {name!r}: the tree itself is the item of that name")
        wanted[name] = value
    if not wanted:
        raise TypeError("save needs a tree or items")
    prepared = [(name.encode(), _prepare(name, value)) for name, value in wanted.items()]
    fields = {"overwrite": bool(overwrite)}
    text = b"" if metadata is None else json_text(metadata, "metadata")
    text_memory = ffi.from_buffer(text)
    fields["metadata"], fields["metadata_size"] = ffi.cast("char *", text_memory), len(text)
    fields["threads"] = threads_for(sum(_size(rows) for _, (_, rows, _) in prepared))
    _write(encoded(path), prepared, options("treering_save_options", **fields))


def _prepare(name, value):
    """(kind of item, rows or bytes, tree or None)."""
    if isinstance(value, _values.Json):
        return lib.TREERING_ITEM_JSON, json_text(value.value, f"item {name!r}"), None
    if isinstance(value, _values.Blob):
        return lib.TREERING_ITEM_BLOB, bytes(memoryview(value.value)), None
    rows = Flattener().run(value)
    return lib.TREERING_ITEM_TREE, rows, build(rows)


def _size(rows):
    """Bytes of the few large arrays; many small ones need no helpers."""
    if isinstance(rows, bytes):
        return len(rows)
    if len(rows.values) > 4096:
        return 0
    return sum(getattr(value, "nbytes", 0) for value in rows.values)


def _write(path, prepared, settings):
    error = new_error()
    out = ffi.new("treering_writer **")
    try:  # an interrupt may come as soon as there is a file
        check(lib.treering_writer_create(out, path, len(path), settings, error), error)
        writer = out[0]
        for name, (kind, data, tree) in prepared:
            if tree is not None:
                status = lib.treering_writer_add_tree(writer, name, len(name), tree, error)
            else:
                status = lib.treering_writer_add_bytes(
                    writer, kind, name, len(name), ffi.from_buffer(data), len(data), error
                )
            check(status, error)
        check(lib.treering_writer_finish(ffi.NULL, ffi.NULL, writer, error), error)
    finally:
        lib.treering_writer_free(out[0])
