"""The stream of a running VM: the answer of `capture`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Unpack

from msixtool.documents import Document, Origin, capture_document
from msixtool.errors import UsageError
from msixtool.library.answer import Answer
from msixtool.output.files import OutputFile, create
from msixtool.tasks import capture as task
from msixtool.tasks.capture import Address, Captured, CaptureOptions, Progress
from msixtool.words import byte_size


@dataclass(frozen=True, slots=True, repr=False)
class Capture(Answer):
    """A stream that was written to `path`, of `size` bytes; `vm` says of which VM and how it was found.

    `fresh`: the VM was started for it, and is ended.
    """

    path: str
    size: int
    vm: Captured
    fresh: bool = False

    @property
    def origins(self) -> tuple[Origin, ...]:
        return (Origin(self.path, self.size),)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the VM was found."""
        return self.vm.notes

    def document(self) -> Document:
        """`msixtool.capture/1`."""
        return capture_document(self.vm, self.path, self.size)

    def summary(self) -> str:
        return f"{byte_size(self.size)} of {self.vm.machine}, QEMU {self.vm.qemu}"


def address_of(
    socket: str | os.PathLike[str] | None = None, domain: str | None = None, connect: str | None = None
) -> Address | None:
    """The VM behind a QMP socket, or of libvirt (or by its number of Proxmox); None where neither is given.

    Raises UsageError where both are, and for a domain that can have no such name.
    """
    if connect is not None and domain is None:
        raise UsageError("--connect says where a domain is", expected="--domain NAME with it")
    if domain is None:
        return None if socket is None else os.fspath(socket)
    if socket is not None:
        raise UsageError("which VM", expected="a socket or --domain, one of the two")
    return task.managed_address(domain, connect)


def capture(
    vm: Address | os.PathLike[str] | None,
    output: str | os.PathLike[str],
    *,
    command: Sequence[str] = (),
    force: bool = False,
    **how: Unpack[CaptureOptions],
) -> Capture:
    """Write the stream of a VM to `output` ("-": standard output), whole or not at all; the VM runs on.

    `vm` is the path of its QMP socket or what `address_of` gives; instead of it `command` is a QEMU to
    start paused, and to end. The other keywords are those of CaptureOptions.

    Raises InputError where there is no VM, or its QEMU refuses or fails; OutputError where `output` must
    not or cannot be written; UsageError for what does not go together, or without the library qemu.qmp.
    """
    if (vm is None) == (not command):
        raise UsageError("what to capture", expected="a VM, or a command to start, one of the two")
    if how.get("devices") and how.get("mapped_ram"):
        raise UsageError("--devices takes no RAM", expected="it, or --mapped-ram")
    path = os.fspath(output)
    address = os.fspath(vm) if isinstance(vm, os.PathLike) else vm
    with create(path, force=force, durable=True, private=True) as out:
        taken = (
            task.capture_fresh(command, out, **how) if address is None else task.capture(address, out, **how)
        )
        size = out.position
    return Capture(path, size, taken, fresh=address is None)


@contextmanager
def captured(vm: Address, *, devices: bool = False, progress: Progress | None = None) -> Iterator[Capture]:
    """The stream of a running VM in a file that is there for the length of the block (`path`)."""
    from msixtool.tasks.fresh import passing_file

    with passing_file() as (descriptor, path):
        out = OutputFile(descriptor, str(path), patchable=True)
        taken = task.capture(vm, out, devices=devices, progress=progress)
        yield Capture(out.path, out.position, taken, fresh=False)
