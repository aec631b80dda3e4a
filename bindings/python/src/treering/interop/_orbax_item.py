# SPDX-License-Identifier: Apache-2.0
# One item of an Orbax checkpoint that is a tree: from its folder to a tree of lazy leaves.
from __future__ import annotations

import base64
import binascii
import collections
import json
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import OutOfMemoryError
from .._ffi import lib
from .._values import PRNGKey
from ._bytes import file_size, read_json
from ._faults import damaged, missing, unsupported
from ._ocdbt import LooseStore, OcdbtStore
from ._orbax_metadata import EMPTY, Entry, TreeMetadata, build_rich_tree, build_tree, read_metadata
from ._zarr import ZarrArray

_ARRAY_KINDS = ("jax.Array", "np.ndarray")


class OrbaxArray:
    """An array in an Orbax checkpoint whose values are read when `read` is called.

    `name` is Orbax's (the path joined with dots), `path` the keys, `shape` and `dtype` those of the
    array, `kind` what was saved ("jax.Array", "np.ndarray", "scalar"), `prng_impl` the implementation
    of a typed PRNG key (shape and dtype are then those of its words) or None, `sharding` how a
    `jax.Array` lay on its devices (as Orbax describes it) or None. Threads may read at once.
    """

    def __init__(self, array: ZarrArray, entry: Entry, prng_impl: str | None, sharding: Any):
        self._array = array
        self.name, self.path, self.kind = entry.name, entry.path, entry.kind
        self.shape, self.dtype = array.format.shape, array.format.dtype
        self.prng_impl, self.sharding = prng_impl, sharding

    @property
    def nbytes(self) -> int:
        """Bytes of the values in memory."""
        return self._array.format.nbytes

    def read(self, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The values, in C order and native byte order.

        Args:
            out: an array of this shape and dtype to read into; None: a new one.

        Raises:
            CorruptionError: the data cannot be what was written.
            CheckpointNotFoundError: data are missing.
            UnsupportedError: they are stored in a way that is not read here.
        """
        if out is not None and (out.shape != self.shape or out.dtype != self.dtype):
            raise ValueError(
                f"{self.name!r} is {self.dtype}{list(self.shape)}, out is {out.dtype}{list(out.shape)}"
            )
        try:
            return self._array.read(out)
        except MemoryError:
            raise OutOfMemoryError(
                f"{self._array.where}: no memory for {self.dtype}{list(self.shape)}",
                status=lib.TREERING_NO_MEMORY,
            ) from None

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        found = self.read()
        return found if dtype is None else found.astype(dtype, copy=False)

    def __repr__(self) -> str:
        sizes = ",".join(map(str, self.shape))
        return f"<OrbaxArray {self.name!r} {self.dtype.name}[{sizes}] {self.kind}>"


class TreeItem:
    """The folder of a tree. `tree()` has an OrbaxArray for every array and number; strings, None and
    empty containers are themselves, what was never stored is `...`."""

    def __init__(self, folder: str):
        self.folder = folder
        self.where = os.path.join(folder, "_METADATA")
        self.about: TreeMetadata = read_metadata(self.where)
        self._store: OcdbtStore | LooseStore = self._open_store()
        self._strings: Any = None
        self._details = self._array_details()
        self._shardings = self._read_shardings()

    def _open_store(self) -> OcdbtStore | LooseStore:
        manifest = os.path.join(self.folder, "manifest.ocdbt")
        there = file_size(manifest) is not None
        wanted = there if self.about.uses_ocdbt is None else self.about.uses_ocdbt
        if not wanted:
            return LooseStore(self.folder)
        if there:
            return OcdbtStore(self.folder)
        if all(self._is_bare(entry) for entry in self.about.entries):
            return LooseStore(self.folder)  # no array, so none was made
        raise missing(self.where, "the arrays are in 'manifest.ocdbt', which is not there")

    @staticmethod
    def _is_bare(entry: Entry) -> bool:
        return entry.kind in EMPTY or entry.kind in ("string", "placeholder")

    def _array_details(self) -> dict[str, Any] | None:
        """Of `array_metadatas/process_*`: what belongs to an array beside its values, by name."""
        folder = os.path.join(self.folder, "array_metadatas")
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return None
        found: dict[str, Any] = {}
        for path in (os.path.join(folder, n) for n in names if n.startswith("process_")):
            try:
                for wrapped in read_json(path)["array_metadatas"]:
                    about = wrapped["array_metadata"]
                    found[about["param_name"]] = about.get("ext_metadata") or {}
            except (KeyError, TypeError, AttributeError):
                raise damaged(path, "is no list of array metadata") from None
        return found

    def _read_shardings(self) -> dict[str, Any]:
        path = os.path.join(self.folder, "_sharding")
        if file_size(path) is None:
            return {}
        found = {}
        for name, text in read_json(path).items():
            try:
                found[base64.urlsafe_b64decode(name).decode()] = json.loads(text)
            except (binascii.Error, ValueError, TypeError, RecursionError):
                raise damaged(
                    path,
                    f"the entry {name!r:.80} cannot be decoded; without the file all else is read",
                ) from None
        return found

    def tree(
        self,
        value: Callable[[Any], Any] | None = None,
        before: Callable[[list[Any]], object] | None = None,
    ) -> Any:
        """The tree as it was stored, with lazy leaves; or with `value(leaf)` for each leaf, called
        when all metadata were found to be whole and `before(leaves)` had nothing against it."""
        entries = self.about.entries
        leaves = [self._value(entry) for entry in entries]
        made = self._built(leaves)
        self._warn_of_keys(leaves)
        if before is not None:
            before(leaves)
        return made if value is None else self._built([value(leaf) for leaf in leaves])

    def _built(self, values: list[Any]) -> Any:
        entries = self.about.entries
        if self.about.rich is None:
            return build_tree(entries, values, self.where)
        by_path = {entry.path: value for entry, value in zip(entries, values)}
        used = set()

        def leaf(path: tuple[str, ...], data: Any) -> Any:
            if isinstance(data, dict) and data.get("value_type") == "NamedTuple":
                return _empty_namedtuple()
            if path not in by_path:
                raise damaged(self.where, f"the leaf {path} is in one of its two trees only")
            used.add(path)
            return by_path[path]

        made = build_rich_tree(self.about.rich, leaf, self.where)
        for entry in entries:
            if entry.path not in used and entry.kind not in EMPTY:
                raise damaged(self.where, f"the leaf {entry.path} is in one of its two trees only")
        return made

    def _warn_of_keys(self, leaves: list[Any]) -> None:
        """Without array_metadatas a typed PRNG key looks like an array of uint32."""
        for leaf in leaves if self._details is None else ():
            if (
                isinstance(leaf, OrbaxArray)
                and leaf.kind == "jax.Array"
                and leaf.dtype == np.uint32
            ):
                warnings.warn(
                    f"{self.folder}: the folder array_metadatas is not there: if {leaf.name!r} was a"
                    " typed PRNG key, it comes as a plain array of uint32",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return

    def _array(self, entry: Entry) -> ZarrArray:
        return ZarrArray(self._store, entry.name, self.about.may_lack_chunks)

    def _value(self, entry: Entry) -> Any:
        if entry.kind in EMPTY:
            empty = EMPTY[entry.kind]
            return type(empty)() if isinstance(empty, (dict, list)) else empty
        if entry.kind == "string":
            return self._string(entry)
        if entry.kind == "placeholder":
            return ...
        if entry.skipped:
            raise unsupported(
                self.where,
                f"{entry.path} lies in the msgpack file 'checkpoint' of an old Orbax, which is not read;"
                " restore it with Orbax and save it anew",
            )
        if entry.kind not in (*_ARRAY_KINDS, "scalar"):
            raise unsupported(self.where, f"{entry.path} is of the type {entry.kind!r:.80}")
        details = (self._details or {}).get(entry.name, {})
        impl = details.get("random_key_impl") if isinstance(details, dict) else None
        if impl is not None and not isinstance(impl, str):
            raise damaged(self.where, f"{entry.path}: PRNG implementation {impl!r:.40}")
        array = self._array(entry)
        if entry.kind == "scalar" and array.format.shape != ():
            raise damaged(self.where, f"{entry.path} is a scalar of shape {array.format.shape}")
        return OrbaxArray(array, entry, impl, self._shardings.get(entry.name))

    def _string(self, entry: Entry) -> str:
        path = os.path.join(self.folder, "_strings.json")
        if self._strings is None:
            self._strings = read_json(path)
        found = self._strings
        for part in entry.name.split("/"):  # Orbax takes the name for a JSON pointer
            part = part.replace("~1", "/").replace("~0", "~")
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, str):
            raise damaged(path, f"the string {entry.name!r} is not in it")
        return found


def _empty_namedtuple() -> Any:
    return collections.namedtuple("OrbaxEmptyNamedTuple", ())()


def _words(leaf: OrbaxArray, out: Any) -> np.ndarray[Any, Any]:
    found = leaf.read(out)
    if found.dtype != np.uint32 or found.ndim < 1:
        raise damaged(leaf._array.where, f"a PRNG key of {found.dtype}{list(found.shape)}")
    return found


def value_of(leaf: Any, arrays: str, out: np.ndarray[Any, Any] | None = None) -> Any:
    """What a lazy leaf stands for: an array of NumPy or JAX, a key, a Python number; others as is."""
    if not isinstance(leaf, OrbaxArray):
        return leaf
    if leaf.kind == "scalar":
        return leaf.read().item()
    if arrays == "jax":
        import jax

        if leaf.prng_impl is not None:
            return jax.random.wrap_key_data(jax.device_put(_words(leaf, out)), impl=leaf.prng_impl)
        if jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype:
            return jax.device_put(leaf.read(out))
    if leaf.prng_impl is not None:
        return PRNGKey(leaf.prng_impl, _words(leaf, out))
    return leaf.read(out)
