"""Keywords that several questions take, declared once: what only passes them on does so as they came.

Their defaults, and what they do, stand where they are acted upon: in `target_of`, `difference_of` and
`command_for`.
"""

from __future__ import annotations

from typing import TypedDict


class TargetOptions(TypedDict, total=False):
    """What may be said of a target: see `target_of`."""

    to: str | None
    qemu: str | None
    on: str | None
    domain: str | None
    try_it: bool
    target_version: str | None
    target_vmstate: str | None
    strict: bool


class DiffOptions(TypedDict, total=False):
    """What is compared, and how.

    `device` selects, `kind` says what device a raw vmstate is of. With `loaded` states are compared as they
    are after the load path; with `fields` (two streams) every vmstate field counts, those that always move
    with `moving` alone, and with `ram` RAM by digest, which reads all of it.
    """

    device: str | None
    kind: str | None
    loaded: bool
    fields: bool
    moving: bool
    ram: bool


class CommandOptions(TypedDict, total=False):
    """What the command line is for.

    `qemu_version` is the QEMU that takes it (None: the oldest that can have written the stream), `program`
    what it is called, `bios` the file of a firmware that is not QEMU's own; with `like_target` the machine
    type is the nearest that such a QEMU has. `check` is a QEMU that then loads the stream with it, paused,
    and is ended: what it refuses changes the command, as far as that helps. `libvirt` gives the same machine
    as the XML of a domain, too.
    """

    qemu_version: str | None
    program: str | None
    bios: str | None
    like_target: str | None
    check: str | None
    libvirt: bool
