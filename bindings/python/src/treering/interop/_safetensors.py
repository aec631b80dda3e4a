# SPDX-License-Identifier: Apache-2.0
# Files of the safetensors format: a length, a JSON header, the arrays' bytes.
#
# The header is checked whole before an array is touched: known dtypes, sizes that fit, and ranges that
# follow each other without a gap and end where the file does. There is no checksum in the format.
from __future__ import annotations

import json
import math
import os
import secrets
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import AlreadyExistsError, UnsupportedTypeError
from .._ffi import lib
from ._bytes import file_size, parse_json, read_range
from ._faults import damaged, missing, too_large, unsupported
from ._zarr_metadata import dtype_named

_HEADER_LIMIT = 100_000_000  # the format's own
_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16",
    "F32": "float32", "F64": "float64", "C64": "complex64", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
_CODES = {name: code for code, name in _NAMES.items()}


def from_safetensors(
    path: str | os.PathLike[str], *, separator: str | None = None
) -> dict[str, Any]:
    """Reads a safetensors file.

    Args:
        path: the file.
        separator: None for a flat dict of the names; "." (say) to make nested dicts of names that are
            joined with it. Numbers in names stay strings, as the file does not say what they were.

    Returns:
        NumPy arrays in native byte order, in the order of the file.

    Raises:
        CheckpointNotFoundError: there is no such file.
        CorruptionError: the header cannot be right. The format has no checksum: damage to the arrays'
            bytes is not seen.
        UnsupportedError: a dtype that NumPy does not have.
    """
    name = os.fsdecode(path)
    header, start = _header(name)
    arrays = {}
    for key, (dtype, shape, begin, end) in header.items():
        data = bytearray(read_range(name, start + begin, end - begin, f"'{name}': {key!r}"))
        arrays[key] = _little(np.frombuffer(data, dtype).reshape(shape))
    return arrays if separator is None else _nested(arrays, separator, name)


def safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The strings under `__metadata__` in the header; {} if there are none."""
    name = os.fsdecode(path)
    found = _document(name)[0].get("__metadata__", {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise damaged(f"'{name}'", "__metadata__ is no map of strings")
    return found


def _document(name: str) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays begin."""
    where, size = f"'{name}'", file_size(name)
    if size is None:
        raise missing(where, "there is no such file")
    if size < 8:
        raise damaged(where, f"{size} bytes are too few for a safetensors file")
    length = int.from_bytes(read_range(name, 0, 8, where), "little")
    if length > _HEADER_LIMIT:
        raise too_large(where, f"a header of {length} bytes; is it a safetensors file?")
    document = parse_json(read_range(name, 8, length, where), where)
    if not isinstance(document, dict):
        raise damaged(where, "the header is no JSON object")
    return document, 8 + length


def _header(name: str) -> tuple[dict[str, Any], int]:
    """(dtype, shape, begin, end) by name in the order of the bytes, and where these begin."""
    document, start = _document(name)
    found = {
        key: _entry(value, f"'{name}': {key!r}")
        for key, value in document.items()
        if key != "__metadata__"
    }
    ordered = dict(sorted(found.items(), key=lambda item: item[1][2:]))
    position = 0
    for key, (_, _, begin, end) in ordered.items():
        if begin != position:
            raise damaged(
                f"'{name}': {key!r}", f"begins at byte {begin}, the one before ends at {position}"
            )
        position = end
    if start + position != file_size(name):
        raise damaged(
            f"'{name}'", f"{file_size(name)} bytes, {start + position} according to its header"
        )
    return ordered, start


def _entry(value: Any, where: str) -> tuple[Any, tuple[int, ...], int, int]:
    try:
        code, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise damaged(where, f"the header says {value!r:.200}") from None
    sizes = (*shape, begin, end)
    if len(shape) > 32 or not all(type(size) is int and 0 <= size < 1 << 62 for size in sizes):
        raise damaged(where, f"the header says {value!r:.200}")
    if not isinstance(code, str) or code not in _NAMES:
        raise unsupported(where, f"has dtype {code!r:.40}, which is not read here")
    dtype = dtype_named(_NAMES[code], where)
    if begin + math.prod(shape) * dtype.itemsize != end:
        raise damaged(where, f"{code}{list(shape)} in the bytes {begin} to {end}")
    return dtype, shape, begin, end


def _little(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From the machine's byte order to the file's, or back."""
    return array if sys.byteorder == "little" else array.byteswap()


def _nested(arrays: dict[str, Any], separator: str, name: str) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for key, array in arrays.items():
        *above, last = key.split(separator)
        node = root
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise damaged(
                    f"'{name}'", f"{key!r} lies below an array; read it without a separator"
                )
        if last in node:
            raise damaged(f"'{name}'", f"{key!r} is an array and has others below it")
        node[last] = array
    return root


# ---- writing


def to_safetensors(
    path: str | os.PathLike[str],
    tree: Any,
    *,
    separator: str = ".",
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the arrays of a tree as a safetensors file, on the disk when this returns.

    Names are the keys and positions from the root, joined with `separator`; whether a node was a dict,
    list or tuple and whether a key was an int is lost, as the format has no place for it.

    Args:
        path: the file.
        tree: dicts, lists and tuples over arrays of NumPy or JAX.
        metadata: strings for the header.
        overwrite: True: the file may exist; it stays until the new one is whole.

    Raises:
        AlreadyExistsError: (a FileExistsError) the file exists.
        UnsupportedTypeError: (a TypeError) a leaf that is no array, or a dtype the format lacks.
        ValueError: two leaves get the same name.
    """
    target = os.path.abspath(os.fsdecode(path))
    if os.path.lexists(target) and not overwrite:
        raise AlreadyExistsError(f"'{target}' exists", status=lib.TREERING_ALREADY_EXISTS)
    arrays = _named_arrays(tree, separator)
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = {str(key): str(value) for key, value in metadata.items()}
    position = 0
    for name, array in arrays.items():
        end = position + array.nbytes
        header[name] = {
            "dtype": _CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [position, end],
        }  # fmt: skip
        position = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays begin at a multiple of eight
    _put(target, [len(text).to_bytes(8, "little"), text], arrays, overwrite)


def _named_arrays(tree: Any, separator: str) -> dict[str, np.ndarray[Any, Any]]:
    """The leaves, the widest elements first, so that each lies aligned."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    stack: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    while stack:
        path, node = stack.pop()
        if len(path) > 256:
            raise ValueError(
                f"{separator.join(path[:4])}…: a tree of more than 256 levels, or a cycle"
            )
        if isinstance(node, Mapping):
            stack.extend(((*path, str(key)), child) for key, child in node.items())
        elif isinstance(node, (list, tuple)):
            stack.extend(((*path, str(index)), child) for index, child in enumerate(node))
        else:
            name = separator.join(path)
            if name in found or name == "__metadata__":
                raise ValueError(
                    f"the name {name!r} is taken: choose another separator or rename the leaf"
                )
            found[name] = _array(node, name)
    return dict(sorted(found.items(), key=lambda item: (-item[1].itemsize, item[0])))


def _array(leaf: Any, name: str) -> np.ndarray[Any, Any]:
    kind = type(leaf)
    if not isinstance(leaf, (np.ndarray, np.generic)) and not kind.__module__.startswith(
        ("jax", "jaxlib")
    ):
        raise UnsupportedTypeError(f"{name!r} is a {kind.__qualname__}, not an array")
    array = np.asarray(leaf)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name not in _CODES:
        raise UnsupportedTypeError(f"{name!r}: safetensors files have no {array.dtype}")
    return array


def _put(target: str, head: list[bytes], arrays: Mapping[str, Any], overwrite: bool) -> None:
    """Writes beside the target, flushes, then puts it in place as a whole."""
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".treering-{secrets.token_hex(12)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(head)
            for array in arrays.values():
                if array.size:
                    file.write(np.ascontiguousarray(_little(array)).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)  # which, other than rename, does not replace
    except FileExistsError:
        raise AlreadyExistsError(f"'{target}' exists", status=lib.TREERING_ALREADY_EXISTS) from None
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    folder_descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(folder_descriptor)
    finally:
        os.close(folder_descriptor)
