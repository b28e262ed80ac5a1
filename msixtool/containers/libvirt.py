"""libvirt's save images: the header and the domain XML before a stream, which is often compressed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from msixtool.containers.base import WINDOW, Source, read_exactly
from msixtool.containers.file import SliceSource
from msixtool.errors import ContainerError, InputError
from msixtool.formats import libvirt as fmt, parse

MAX_DATA = 64 << 20
"""Bytes of XML and padding that are believed: libvirt writes the XML and 64 KiB."""

_XML_HEAD = 1 << 16
"""Bytes of the XML that are looked through for the name, which libvirt writes first."""

MAX_HOLE = WINDOW
"""Bytes of zeros that may stand between the padding and the stream, to align it."""


def is_save_image(head: bytes) -> bool:
    """Whether `head` begins like a save image, complete or not."""
    return head.startswith((fmt.MAGIC_COMPLETE, fmt.MAGIC_INCOMPLETE))


class LibvirtSource(SliceSource):
    """What a save image holds behind its header, XML and padding.

    Raises ContainerError where the header contradicts the file, TruncatedError where it is cut short.
    """

    def __init__(self, base: Source) -> None:
        header = _header(base)
        super().__init__(base, fmt.HEADER_SIZE + header.data_len, kind="libvirt")
        self.complete = header.magic == fmt.MAGIC_COMPLETE
        self.version = int(header.version)
        self.was_running = bool(header.was_running)
        self.format = str(header.format)
        self._xml_size = min(header.cookie_offset or header.data_len, header.data_len)
        if not base.read(self.start, 1):
            raise self._cut_short(header.data_len)
        if self.format in ("raw", "sparse"):
            self.start += self._hole()

    def xml(self) -> str:
        """The domain XML as libvirt wrote it. Raises TruncatedError where it is cut short."""
        raw = read_exactly(self.base, fmt.HEADER_SIZE, self._xml_size, "domain XML of the save image")
        return raw.partition(b"\0")[0].decode(errors="replace")

    @cached_property
    def domain(self) -> str | None:
        """The name of the domain, as its XML has it; None where that cannot be read."""
        from xml.etree import ElementTree

        parser: Any = ElementTree.XMLPullParser(("start", "end"))
        depth = 0
        try:
            parser.feed(self.base.read(fmt.HEADER_SIZE, min(self._xml_size, _XML_HEAD)).partition(b"\0")[0])
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 1 and element.tag == "name":
                    return str(element.text or "")
        except (ElementTree.ParseError, InputError, ValueError):
            pass
        return None

    def details(self) -> dict[str, Any]:
        """The domain's name, version, format, and whether the domain ran and the save was completed."""
        return {
            "domain": self.domain,
            "version": self.version,
            "format": self.format,
            "was_running": self.was_running,
            "complete": self.complete,
        }

    def _cut_short(self, data_len: int) -> ContainerError:
        what = "libvirt save image holds no stream"
        if not self.complete:
            what += ": it is marked incomplete, so the save ended before the memory was written"
        return ContainerError(
            what,
            offset=self.start,
            expected=f"a stream behind {data_len} bytes of XML and padding",
            found="the end",
        )

    def _hole(self) -> int:
        """Bytes of zeros before the stream, where something follows them."""
        data = self.base.read(self.start, MAX_HOLE + 1)
        hole = len(data) - len(data.lstrip(b"\0"))
        return hole if hole < len(data) else 0


def _header(base: Source) -> Any:
    """The header, in whichever byte order makes its version one that exists."""
    raw = read_exactly(base, 0, fmt.HEADER_SIZE, "libvirt save header")
    header = parse(fmt.HEADER_LITTLE, raw, what="libvirt save header")
    if header.version > fmt.MAX_VERSION:
        swapped = parse(fmt.HEADER_BIG, raw, what="libvirt save header")
        if swapped.version > fmt.MAX_VERSION:
            raise ContainerError(
                "libvirt save header",
                expected=f"version {fmt.MAX_VERSION} or less in either byte order",
                found=header.version,
            )
        header = swapped
    if not 0 < header.data_len <= MAX_DATA:
        raise ContainerError(
            "libvirt save header: absurd length of the domain XML",
            offset=20,
            expected=f"1 to {MAX_DATA} bytes",
            found=header.data_len,
        )
    return header
