"""Runs of whole pages in address order, passed over by looking at a few of their headers.

The last pass over a large guest's RAM is one such run of up to some hundred MiB. Where the header
that stands where the thousandth next one would stand is the thousandth next one, byte for byte,
nothing but the pages between fits in.
"""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.formats import ram as fmt


def stride(page_size: int) -> int:
    """Bytes of the record of a whole page of the current block."""
    return fmt.RECORD_HEADER_SIZE + page_size


def pages_after(source: Source, offset: int, page_size: int) -> int:
    """How many pages in address order follow the one whose record stands at `offset`."""
    return _pages(source, offset, page_size, 1)


def pages_before(source: Source, offset: int, page_size: int) -> int:
    """How many pages in address order lead up to the one whose record stands at `offset`."""
    return _pages(source, offset, page_size, -1)


def _pages(source: Source, offset: int, page_size: int, direction: int) -> int:
    (header,) = fmt.PACKED_HEADER.unpack(source.read(offset, fmt.RECORD_HEADER_SIZE))

    def is_there(count: int) -> bool:
        expected = header + direction * count * page_size
        place = offset + direction * count * stride(page_size)
        if place < 0 or not 0 <= expected < 1 << 64:
            return False
        return source.read(place, fmt.RECORD_HEADER_SIZE) == fmt.PACKED_HEADER.pack(expected)

    count, jump = 0, 1
    while is_there(count + jump):
        count, jump = count + jump, 2 * jump
    while jump > 1:
        jump //= 2
        if is_there(count + jump):
            count += jump
    return count


def find_run(data: bytes, page_size: int) -> int | None:
    """Where the first record of three whole pages in address order stands, near the start of `data`."""
    step = stride(page_size)
    end = max(0, min(len(data) - 2 * step, step + fmt.RECORD_HEADER_SIZE))
    place = data.find(fmt.CONTINUED_PAGE, fmt.RECORD_HEADER_SIZE - 1, end)
    while place >= 0:
        first = place - fmt.RECORD_HEADER_SIZE + 1
        header, *followers = (fmt.PACKED_HEADER.unpack_from(data, first + n * step)[0] for n in range(3))
        if followers == [header + page_size, header + 2 * page_size]:
            return first
        place = data.find(fmt.CONTINUED_PAGE, place + 1, end)
    return None
