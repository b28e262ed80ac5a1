"""Save images of libvirt: the stream behind the header, whatever it is compressed with, and the XML."""

from __future__ import annotations

import lzma
import struct

import pytest

from msixtool.errors import ContainerError, NotAStreamError, TruncatedError
from tests.containers.recorded import everything, kinds, needs, opened, recorded, stream, unpacked

XML = b"<domain type='kvm'><name>one</name></domain>"


def image(
    tail: bytes,
    *,
    magic: bytes = b"LibvirtQemudSave",
    version: int = 2,
    data_len: int | None = None,
    kind: int = 0,
    cookie: int = len(XML) + 1,
    order: str = "<",
) -> bytes:
    """A save image as libvirt writes it, of a domain that ran."""
    data = (XML + b"\0" + b"<cookie/>\0").ljust(256, b"\0")
    words = (version, len(data) if data_len is None else data_len, 1, kind, cookie)
    return magic + struct.pack(f"{order}5I56x", *words) + data + tail


@pytest.mark.parametrize("kind", ["raw", "gzip", "bzip2", "xz", "lzop"])
def test_what_virsh_save_wrote_is_read(kind: str) -> None:
    needs(kind)
    with opened(unpacked(f"libvirt-{kind}.xz")) as file:
        assert kinds(file) == ["libvirt"] + ([] if kind == "raw" else [kind])
        assert file.source.read(0, 4) == b"QEVM"
        assert file.source.read(file.source.size - 4, 9) == b"}]}]}"[-4:]
        assert file.source.size == 33662
        assert file.verify() is None
        assert file.layers[0]["format"] == kind
        assert file.layers[0]["version"] == 2
        assert file.layers[0]["was_running"] is False
        assert file.layers[0]["complete"] is True
        assert file.warnings == []
        assert file.save_image is not None
        xml = file.save_image.xml()
        assert xml.startswith("<domain type='qemu'>")
        assert xml.endswith("</domain>\n")


def test_the_xml_can_be_read_when_the_image_is_itself_compressed() -> None:
    with opened(recorded("libvirt-xz.xz")) as file:
        assert kinds(file) == ["xz", "libvirt", "xz"]
        assert file.source.size > 30000
        assert file.save_image is not None
        assert "<name>small</name>" in file.save_image.xml()


def test_the_stream_of_a_raw_image_has_its_place_in_the_file() -> None:
    data = unpacked("libvirt-raw.xz")
    with opened(data) as file:
        assert data[file.origin : file.origin + 4] == b"QEVM"
        assert not file.source.sequential
    with opened(b"before" + data, offset=6) as file:
        assert file.origin == 6 + data.index(b"QEVM")
    with opened(recorded("libvirt-raw.xz")) as file:
        assert file.origin == data.index(b"QEVM")


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order_is_read(order: str) -> None:
    with opened(image(stream(), order=order, kind=3, cookie=0)) as file:
        assert file.layers == [
            {
                "kind": "libvirt",
                "domain": "one",
                "version": 2,
                "format": "xz",
                "was_running": True,
                "complete": True,
            }
        ]
        assert file.save_image is not None
        assert file.save_image.xml().encode() == XML


def test_a_sparse_image_may_have_a_hole_before_the_stream() -> None:
    with opened(image(bytes(4096) + stream(), kind=6)) as file:
        assert file.layers[0]["format"] == "sparse"
        assert everything(file) == stream()
        assert file.origin == 92 + 256 + 4096


def test_an_incomplete_image_is_read_with_a_warning_that_explains_it() -> None:
    with opened(unpacked("libvirt-incomplete.xz")) as file:
        assert file.layers[0]["complete"] is False
        assert file.source.size == 33662
        (warning,) = file.warnings
        assert "marked this save image as incomplete" in warning
    with opened(unpacked("libvirt-incomplete-cut.xz")) as file:
        assert file.warnings
        assert file.source.read(0, 4) == b"QEVM"
        with pytest.raises(TruncatedError, match="xz data is cut short"):
            _ = file.source.size


def test_an_incomplete_image_without_a_stream_is_explained() -> None:
    with pytest.raises(ContainerError, match="marked incomplete, so the save ended before"):
        opened(image(b"", magic=b"LibvirtQemudPart"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (image(stream(), data_len=0), "absurd length .* found 0"),
        (image(stream(), data_len=0xFFFFFFFF), "absurd length .* found 4294967295"),
        (image(stream(), data_len=100_000), "holds no stream: expected a stream behind 100000 bytes"),
        (image(stream(), version=0x01020304), "expected version 2 or less in either byte order"),
        (image(b""), "holds no stream"),
        (image(stream())[:50], "libvirt save header is cut short"),
        (image(b"\x7fELF"), "no QEMU migration stream in libvirt.*: .* an ELF file"),
        (image(bytes(5000), kind=6), "no QEMU migration stream in libvirt"),
    ],
)
def test_a_damaged_image_is_told_in_one_line(data: bytes, words: str) -> None:
    for wrapped in (data, lzma.compress(data)):
        with pytest.raises((ContainerError, NotAStreamError, TruncatedError), match=words) as error:
            opened(wrapped)
        assert "\n" not in str(error.value)


def test_a_cookie_outside_of_the_header_does_not_hide_the_xml() -> None:
    with opened(image(stream(), cookie=0x7FFFFFFF)) as file:
        assert file.save_image is not None
        assert file.save_image.xml().encode() == XML


def test_the_format_is_found_by_content_and_not_by_the_number_in_the_header() -> None:
    for number in (0, 1, 9):
        with opened(image(recorded("stream.xz"), kind=number)) as file:
            assert kinds(file) == ["libvirt", "xz"]
            assert everything(file) == stream()


@pytest.mark.parametrize(
    ("xml", "name"),
    [
        (b"<domain type='kvm'>\n  <name>a &amp; b</name>\n</domain>", "a & b"),
        (b"<domain><metadata><name>no</name></metadata><name>yes</name>", "yes"),
        (b"<domain><devices><name>no</name></devices></domain>", None),
        (b"<domain><name>cut", None),
        (b"<<<<", None),
        (b"", None),
        (b"<!DOCTYPE d [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><domain><name>&b;</name></domain>", "xx"),
    ],
)
def test_the_domain_is_called_as_its_xml_says(xml: bytes, name: str | None) -> None:
    with opened(image_of(xml)) as file:
        assert file.layers[0]["domain"] == name


def image_of(xml: bytes) -> bytes:
    """A save image with this XML."""
    data = (xml + b"\0").ljust(512, b"\0")
    return b"LibvirtQemudSave" + struct.pack("<5I56x", 2, len(data), 1, 0, 0) + data + stream()
