"""A running VM in the place of a FILE: `--qmp SOCKET` and `--domain NAME`, each defined once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from msixtool.cli.options import chain

if TYPE_CHECKING:
    from msixtool import Address

qmp_option = click.option("--qmp", metavar="SOCKET", help="The VM behind this QMP socket, as it runs.")
connect_option = click.option(
    "--connect",
    metavar="URI",
    help="Of --domain: the libvirt it is with [virsh's own, then the system's, the user's].",
)
domain_option = click.option(
    "--domain", metavar="NAME", help="A VM of libvirt, or by its number one of Proxmox."
)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def vm_options(parameter: str) -> Decorator:
    """A command that is given a running VM as `vm`, None where its FILE (`parameter`) is given instead."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*, qmp: str | None, domain: str | None, connect: str | None, **rest: Any) -> Any:
            return function(vm=_asked_vm(rest[parameter], qmp, domain, connect), **rest)

        return chain(qmp_option, domain_option, connect_option)(run)

    return decorate


def _asked_vm(
    files: Sequence[str] | str | None, qmp: str | None, domain: str | None, connect: str | None
) -> Address | None:
    """The VM that is to be read, None where files are. Raises UsageError where it is neither or both."""
    from msixtool import address_of
    from msixtool.errors import UsageError

    vm = address_of(qmp, domain, connect)
    if bool(files) == (vm is not None):
        raise UsageError("what to read", expected="FILE, --qmp SOCKET or --domain NAME, one of them")
    return vm


def or_vm(parameter: str) -> Decorator:
    """A command whose FILE (`parameter`: a name, or a tuple of names) may be a running VM instead.

    Its devices are captured first, and stand in a file for the command.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*, vm: Address | None, **rest: Any) -> Any:
            if vm is None:
                return function(**rest)
            with captured_file(vm) as file:
                return function(**rest | {parameter: (file,) if isinstance(rest[parameter], tuple) else file})

        return vm_options(parameter)(run)

    return decorate


@dataclass(frozen=True, slots=True)
class CapturedFile(os.PathLike[str]):
    """A file that a VM was captured in, which is called as the VM is."""

    path: str
    vm: str

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.vm


@contextmanager
def captured_file(vm: Address, *, devices: bool = True) -> Iterator[CapturedFile]:
    """The stream of a running VM in a file that is there for the length of the block."""
    from msixtool import captured
    from msixtool.cli.progress import progress_bar
    from msixtool.cli.screen import remark
    from msixtool.cli.signals import end_in_order

    with (
        end_in_order(),
        progress_bar("capture") as progress,
        captured(vm, devices=devices, progress=progress) as taken,
    ):
        for note in taken.notes:
            remark(note)
        yield CapturedFile(taken.path, taken.vm.name)
