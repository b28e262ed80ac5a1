"""The layers around a stream, found by what is in them, not by names.

Imported only where a file does not begin with its stream: what the layers need costs time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.containers.base import MAGIC, WINDOW, Source
from msixtool.containers.codecs import codec_of
from msixtool.containers.forward import ForwardSource
from msixtool.containers.guess import looks_like
from msixtool.containers.libvirt import LibvirtSource, is_save_image
from msixtool.containers.qcow2 import Qcow2Source
from msixtool.containers.unpack import Budget, unpacked_source
from msixtool.errors import ContainerError, NotAStreamError
from msixtool.formats import qcow2

if TYPE_CHECKING:
    from msixtool.containers.opened import Opened

DEPTH = 8
"""Layers that may lie in one another."""

HEAD_SIZE = 1024
"""Bytes that tell what a layer is."""

LOOK = 64 << 20
"""Bytes that a block of bzip2, the largest of all that are checked as one, may well unpack to."""


def descend(opened: Opened, snapshot: str | None, budget: Budget) -> None:
    """Go from layer to layer until the stream is there.

    Raises NotAStreamError where there is none, ContainerError and TruncatedError where a layer is
    damaged or not supported.
    """
    while not (head := opened.source.read(0, HEAD_SIZE)).startswith(MAGIC):
        if len(opened.layers) == DEPTH:
            raise ContainerError("too many layers in one another", expected=f"at most {DEPTH}")
        if is_save_image(head):
            _enter_libvirt(opened)
        elif head.startswith(qcow2.MAGIC):
            opened.image = Qcow2Source(opened.source, snapshot, budget)
            _enter(opened, opened.image)
        elif codec := codec_of(opened.source):
            outermost = not any(
                isinstance(source, ForwardSource) and source.kind for source in opened.sources
            )
            _enter(
                opened,
                unpacked_source(opened.source, codec, path=opened.path, budget=budget, outermost=outermost),
            )
        else:
            raise _not_a_stream(opened, head)


def _enter(opened: Opened, source: Source) -> None:
    """Go into a layer whose bytes have no place of their own in the file below."""
    opened.sources.append(source)
    opened.layers.append({"kind": source.kind, **source.details()})
    opened.source = source
    opened.origin = 0


def _enter_libvirt(opened: Opened) -> None:
    """Go into a save image, whose stream stands in it as it is if it is not compressed."""
    image = LibvirtSource(opened.source)
    origin = opened.origin + image.start
    _enter(opened, image)
    opened.origin = origin
    opened.save_image = image
    if not image.complete:
        opened.warnings.append(
            "libvirt marked this save image as incomplete: the save, or rewriting its header at the end, "
            "did not finish; libvirt itself refuses to restore it"
        )


def _not_a_stream(opened: Opened, head: bytes) -> NotAStreamError:
    """What to say of bytes that are neither a stream nor a container of one.

    Raises the InputError of a damaged layer where that is the reason.
    """
    if opened.source.sequential:
        _look_for_damage(opened.source)
    inside = " in ".join(layer["kind"] for layer in reversed(opened.layers))
    return NotAStreamError(
        f"no QEMU migration stream{f' in {inside}' if inside else ''}",
        expected="QEVM",
        found=looks_like(head),
    )


def _look_for_damage(source: Source) -> None:
    """Raises the InputError of damage near the start: bytes may come out wrong before it is noticed."""
    for offset in range(0, LOOK, WINDOW):
        data = source.read(offset, WINDOW)
        source.drop(offset, offset + WINDOW)
        if len(data) < WINDOW:
            source.read(offset + len(data), 1)
            return
