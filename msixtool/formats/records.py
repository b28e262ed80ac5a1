"""Fixed records of plain integers, parsed and built in bulk: a table has up to 2048 of them, a stream 10^5.

construct takes some 20 µs for a record of three integers, Python's struct a hundredth of that. Sizes, names
and byte orders are those of the record's schema.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from construct import Array, Bytes, Container, FormatFieldError, Struct, stream_read, stream_write

_Array: Any = Array
_Struct: Any = Struct


def packed(record: Any) -> struct.Struct:
    """Python's struct for the bytes of a Struct of integers, arrays of such, constants and bytes, of one byte
    order."""
    code = "".join([_code(member.subcon) for member in record.subcons])
    order = "<" if "<" in code else ">"
    return struct.Struct(order + code.replace(order, ""))


def _code(member: Any) -> str:
    if isinstance(member, Bytes):
        return f"{member.length}s"
    if isinstance(member, Array):
        one = _code(member.subcon)
        return f"{one[0]}{member.count}{one[1:]}"
    return str(getattr(member, "subcon", member).fmtstr)


class Packed(_Struct):  # type: ignore[misc]
    """A Struct as `packed` takes them, of which a stream has many: parsed in one step, built as any other."""

    def __init__(self, *members: Any) -> None:
        super().__init__(*members)
        self._struct = packed(self)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        values = iter(self._struct.unpack(stream_read(stream, self._struct.size, path)))
        found: Any = Container()
        for member in self.subcons:
            one = member.subcon
            found[member.name] = list(islice(values, one.count)) if isinstance(one, _Array) else next(values)
        return found


class Records(_Array):  # type: ignore[misc]
    """`count` records of a Struct of integers of one byte order; each is parsed to a named tuple.

    What is built may be tuples in the order of the fields, or mappings.
    """

    def __init__(self, count: int, record: Any) -> None:
        super().__init__(count, record)
        self.names = tuple(member.name for member in record.subcons)
        self._struct = packed(record)
        self._make = _named(self.names)

    @property
    def record_size(self) -> int:
        """Bytes of one record."""
        return self._struct.size

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return int(self.count) * self._struct.size

    def _parse(self, stream: Any, context: Any, path: str) -> list[Any]:
        data = stream_read(stream, self.size, path)
        return list(map(self._make, self._struct.iter_unpack(data)))

    def _build(self, obj: Iterable[Any], stream: Any, context: Any, path: str) -> Iterable[Any]:
        try:
            data = b"".join([self._struct.pack(*self._values(each)) for each in obj])
        except (struct.error, KeyError) as error:
            raise FormatFieldError(str(error), path=path) from None
        stream_write(stream, data, self.size, path)
        return obj

    def _values(self, record: Any) -> Iterable[Any]:
        return record if isinstance(record, tuple) else [record[name] for name in self.names]


@lru_cache(64)
def _named(names: tuple[str, ...]) -> Any:
    """What makes a named tuple of these fields out of a plain one."""
    record: Any = namedtuple("Record", names)  # type: ignore[misc]
    return record._make
