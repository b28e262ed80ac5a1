"""File objects of other libraries: what is fetched of them, and what they raise."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest

from msixtool import Dump
from msixtool.containers import objects
from msixtool.containers.objects import FETCHED, FetchedFile
from msixtool.errors import NotAStreamError, UsageError
from tests.conftest import SAMPLES, unpacked


class Remote:
    """A file of another library: each read is a request."""

    def __init__(self, data: bytes, *, piece: int | None = None) -> None:
        self.data = data
        self.requests: list[tuple[int, int]] = []
        self._position = 0
        self._piece = piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = offset + (len(self.data) if whence == 2 else 0)
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        size = size if self._piece is None else min(size, self._piece)
        data = self.data[self._position : self._position + size]
        self.requests.append((self._position, len(data)))
        self._position += len(data)
        return data


def data(blocks: float) -> bytes:
    return random.Random(1).randbytes(int(blocks * FETCHED))


def at(file: FetchedFile, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def test_reading_anywhere_gives_the_bytes_of_the_file() -> None:
    content, chance = data(7.3), random.Random(2)
    file = FetchedFile(Remote(content))
    assert file.seek(0, 2) == len(content)
    for _ in range(300):
        offset, length = chance.randrange(len(content) + FETCHED), chance.randrange(3 * FETCHED)
        assert at(file, offset, length) == content[offset : offset + length]


def test_reading_goes_on_where_it_stopped() -> None:
    file = FetchedFile(Remote(data(2)))
    file.seek(5)
    assert [file.read(3), file.read(4)] == [data(2)[5:8], data(2)[8:12]]


def test_no_byte_is_fetched_twice_and_neighbours_come_together() -> None:
    remote = Remote(data(9.5))
    file = FetchedFile(remote)
    at(file, 3 * FETCHED + 1, 2)
    at(file, 3 * FETCHED + 1, 2)
    at(file, 10, 9 * FETCHED + 10)
    at(file, 10, 9 * FETCHED + 10)
    assert remote.requests == [(3 * FETCHED, FETCHED), (0, 3 * FETCHED), (4 * FETCHED, int(5.5 * FETCHED))]


def test_what_is_kept_has_a_bound_and_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "KEPT", 3 * FETCHED)
    remote = Remote(data(8))
    file = FetchedFile(remote)
    for number in (0, 1, 2, 0, 3):
        at(file, number * FETCHED, 1)
    del remote.requests[:]
    at(file, 0, 1)
    at(file, 3 * FETCHED, 1)
    assert remote.requests == []
    at(file, FETCHED, 1)
    assert remote.requests == [(FETCHED, FETCHED)]


def test_an_object_that_gives_little_at_a_time_is_asked_again() -> None:
    remote = Remote(data(3), piece=1000)
    assert at(FetchedFile(remote), 0, 3 * FETCHED) == data(3)


def test_an_object_that_has_become_shorter_gives_what_there_is_in_its_place() -> None:
    remote = Remote(data(4))
    file = FetchedFile(remote)
    at(file, 3 * FETCHED, 10)
    remote.data = remote.data[: FETCHED + 100]
    assert at(file, FETCHED, 3 * FETCHED) == data(4)[FETCHED : FETCHED + 100]


class HttpError(Exception):
    """What a library of its own raises."""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (HttpError("503"), OSError),
        (ConnectionError("reset"), ConnectionError),
        (ValueError("I/O on a closed file"), ValueError),
        (NotAStreamError("none"), NotAStreamError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_whatever_the_object_raises_is_an_error_to_read(
    raised: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(data(2))
    file = FetchedFile(remote)

    def broken(*_: object) -> bytes:
        raise raised

    calls: list[Callable[[], object]] = [lambda: at(file, 0, 1), lambda: FetchedFile(remote)]
    for name, call in zip(("read", "seek"), calls, strict=True):
        monkeypatch.setattr(remote, name, broken)
        with pytest.raises(expected, match=str(raised)[:3]):
            call()


class Silent(Remote):
    """A file whose `seek` says nothing, as some wrappers' does not."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        super().seek(offset, whence)
        return None  # type: ignore[return-value]


class Telling(Silent):
    """The same where `tell` says it."""

    def tell(self) -> int:
        return self._position


def test_a_file_that_says_where_it_is_by_tell_alone_is_read_in_whatever_pieces() -> None:
    content = data(2.5)
    assert FetchedFile(Telling(content, piece=1000)).read(len(content)) == content


def test_a_file_that_does_not_say_where_it_is_is_refused() -> None:
    with pytest.raises(UsageError, match="expected its offset from seek or tell, found None"):
        FetchedFile(Silent(b"x"))


@pytest.mark.parametrize(
    ("answer", "words"), [(None, "found NoneType"), ("text", "found str"), (bytes(9), "found 9 of them")]
)
def test_a_file_that_gives_no_bytes_or_too_many_is_refused(answer: object, words: str) -> None:
    class Odd(Remote):
        def read(self, size: int = -1, /) -> bytes:
            return answer  # type: ignore[return-value]

    with pytest.raises(UsageError, match=words):
        FetchedFile(Odd(bytes(8))).read(8)


class SilentBytes(io.BytesIO):
    """A class of a user's, made from one of Python's."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        super().seek(offset, whence)
        return None  # type: ignore[return-value]


class NoBytes(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return None  # type: ignore[return-value]


def test_a_class_made_from_one_of_pythons_is_looked_at_as_any_other() -> None:
    stream = unpacked(SAMPLES[0])
    with Dump.open(SilentBytes(stream)) as silent, Dump.open(io.BytesIO(stream)) as plain:
        assert [device.name for device in silent.devices] == [device.name for device in plain.devices]
    with pytest.raises(UsageError, match="bytes from read, found NoneType"):
        Dump.open(NoBytes(stream))
