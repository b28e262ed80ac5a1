"""What stands for parts of the standard library: it does what those do."""

from __future__ import annotations

import pickle
import typing

from msixtool.kept import NamedTuple


class Place(NamedTuple):
    """Where something is."""

    name: str
    offset: int | None = None

    @property
    def known(self) -> bool:
        """Whether its offset is."""
        return self.offset is not None

    def __str__(self) -> str:
        return f"{self.name} at {self.offset}"


class Standard(typing.NamedTuple):
    """As the library makes them."""

    name: str
    offset: int | None = None


def test_a_named_tuple_is_as_typing_makes_them() -> None:
    place, standard = Place("table", 8), Standard("table", 8)
    assert (place, Place("pba")) == (standard, Standard("pba"))
    assert place._replace(offset=None).known is False
    assert (str(place), repr(place)) == ("table at 8", "Place(name='table', offset=8)")
    assert Place._fields == Standard._fields
    assert Place._field_defaults == Standard._field_defaults
    assert typing.get_type_hints(Place) == typing.get_type_hints(Standard)
    assert (Place.__doc__, Place.__module__, Place.__qualname__) == ("Where something is.", __name__, "Place")


def test_a_named_tuple_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Place("table", 8))) == Place("table", 8)
