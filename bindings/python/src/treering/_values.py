# SPDX-License-Identifier: Apache-2.0
# What trees hold beside Python's own types: abstract leaves, records, documents; registered classes.
#
# dataclasses is imported where it is needed only: it costs a good part of `import treering`.


from __future__ import annotations

import sys
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

_T = TypeVar("_T", bound=type)


class AbstractLeaf:
    """What a leaf is, without its data: `kind` ("array", "int", "string", …), `dtype` and `shape` of
    arrays, `attributes` (variable_type, tag, metadata, sharding, prng_impl, scalar, origin).
    A tree of these is a target for `load`."""

    __slots__ = ("kind", "dtype", "shape", "attributes", "nbytes", "_stored")

    def __init__(
        self,
        dtype: Any = None,
        shape: Iterable[int] = (),
        attributes: Mapping[Any, Any] | None = None,
        *,
        kind: str = "array",
        nbytes: int | None = None,
    ) -> None:
        if dtype is not None:
            import numpy as np

            dtype = np.dtype(dtype)
        self.kind = kind
        self.dtype = dtype
        self.shape = tuple(shape)
        self.attributes = dict(attributes or {})
        self.nbytes = nbytes
        self._stored = None  # attributes as in the file, for use as a target

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AbstractLeaf):
            return NotImplemented
        mine = (self.kind, self.dtype, self.shape, self.attributes)
        return mine == (other.kind, other.dtype, other.shape, other.attributes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        what = self.kind
        if self.dtype is not None:
            what = f"{self.dtype.name}[{','.join(map(str, self.shape))}]"
            if self.kind != "array":
                what = f"{self.kind} {what}"
        more = "".join(f", {name}={value!r}" for name, value in self.attributes.items() if name != "origin")
        return f"<{what}{more}>"


_records_in_jax = False


def register_records() -> None:
    """Makes records nodes of JAX's trees, if the program has imported JAX. Again: nothing."""
    global _records_in_jax
    tree_util: Any = getattr(sys.modules.get("jax"), "tree_util", None)
    if _records_in_jax or not hasattr(tree_util, "register_pytree_with_keys"):
        return
    _records_in_jax = True

    def flatten(record: Record) -> tuple[list[Any], Any]:
        fields = record.fields
        return list(fields.values()), (record.type_name, tuple(fields))

    def with_keys(record: Record) -> tuple[list[Any], Any]:
        children, structure = flatten(record)
        keys = [
            tree_util.GetAttrKey(key) if isinstance(key, str) else tree_util.DictKey(key)
            for key in structure[1]
        ]
        return list(zip(keys, children)), structure

    def unflatten(structure: Any, children: Any) -> Record:
        return Record(structure[0], zip(structure[1], children))

    tree_util.register_pytree_with_keys(Record, with_keys, unflatten, flatten)


class Record:
    """A dataclass that is not registered here: `type_name` ("module:Qualified.Name") and fields.

    It reads like a dict of its fields, and they are attributes too (`record["keys"]` for one that is
    named as a method is). It does not change. JAX takes it as a node of trees.

    >>> record = Record("app:Point", {"x": 1, "y": 2})
    >>> record.x, record["y"], "z" in record, dict(record)
    (1, 2, False, {'x': 1, 'y': 2})
    """

    def __init__(self, type_name: str | None, fields: Any) -> None:
        if not _records_in_jax and "jax" in sys.modules:
            register_records()
        object.__setattr__(self, "_type_name", type_name)
        object.__setattr__(self, "_fields", dict(fields))

    @property
    def type_name(self) -> str | None:
        name: str | None = self._type_name
        return name

    @property
    def fields(self) -> dict[Any, Any]:
        return dict(self._fields)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"a record of {self.__dict__.get('_type_name')!r} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("records do not change")

    def __getitem__(self, name: Any) -> Any:
        if name in self._fields:
            return self._fields[name]
        raise KeyError(f"a record of {self._type_name!r} has no field {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def get(self, name: Any, default: Any = None) -> Any:
        return self._fields.get(name, default)

    def keys(self) -> KeysView[Any]:
        return self.fields.keys()

    def values(self) -> ValuesView[Any]:
        return self.fields.values()

    def items(self) -> ItemsView[Any, Any]:
        return self.fields.items()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return bool(self._type_name == other._type_name and self._fields == other._fields)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (self._type_name, self._fields)

    def __repr__(self) -> str:
        name = (self._type_name or "").rpartition(":")[2].rpartition(".")[2] or "Record"
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in self._fields.items())})"


class _Document:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class Json(_Document):
    """As the value of an item: a JSON document. `load(path, item=name)` gives the value back."""

    __slots__ = ()


class Blob(_Document):
    """As the value of an item: bytes as they are."""

    __slots__ = ()


class PRNGKey:
    """A typed PRNG key where JAX is not there to hold it: `impl` and the key's `words`."""

    def __init__(self, impl: str, words: Any) -> None:
        self.impl = impl
        self.words = words

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PRNGKey):
            return NotImplemented
        return self.impl == other.impl and bool((self.words == other.words).all())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PRNGKey({self.impl!r}, {self.words!r})"


# "module:Qualified.Name" -> class. Only classes that the program put here are made from files.
REGISTERED: dict[str, type] = {}


def type_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def is_current(cls: type) -> bool:
    """False for a class that its module has replaced by another, as notebooks do."""
    module = sys.modules.get(cls.__module__)
    return module is None or vars(module).get(cls.__qualname__, cls) is cls



def register_dataclass(cls: _T) -> _T:
    """Makes `load` give instances of `cls`, without calling its __init__, where a file has a
    dataclass of that module and name. Usable as a decorator."""
    if not (isinstance(cls, type) and hasattr(cls, "__dataclass_fields__")):
        raise TypeError(f"{cls!r} is no dataclass")
    REGISTERED[type_name(cls)] = cls
    return cls


def is_static(field: Any) -> bool:
    """True for fields that flax.struct and jax leave out of the pytree."""
    return field.metadata.get("pytree_node", True) is False or field.metadata.get("static", False) is True


def make_dataclass(cls: type, values: Any, template: Any = None) -> Any:
    """An instance with these fields; fields that are not saved come from `template`, else from
    their defaults."""
    import dataclasses

    result: Any = object.__new__(cls)
    for field in dataclasses.fields(cls):
        if field.name in values:
            value = values[field.name]
        elif template is not None and hasattr(template, field.name):
            value = getattr(template, field.name)
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            continue
        object.__setattr__(result, field.name, value)
    return result
