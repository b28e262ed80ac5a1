"""A running VM in the place of a FILE: `--qmp SOCKET` and `--domain NAME`, each defined once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from msixtool.tasks.capture import Address

domain_options = (
    click.option("--domain", metavar="NAME", help="A VM of libvirt, or by its number one of Proxmox."),
    click.option("--connect", metavar="URI", help="Of --domain: the libvirt it is with [virsh's own]."),
)


def address(socket: str | None, domain: str | None, connect: str | None) -> Address | None:
    """The VM that is meant, None for none. Raises UsageError where more than one is."""
    from msixtool import address_of

    return address_of(socket, domain, connect)


def or_vm(parameter: str, *, devices: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command whose FILE (`parameter`: a name, or a tuple of names) may be a running VM instead.

    It is captured first: its devices alone, or all of its RAM too.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*, qmp: str | None, domain: str | None, connect: str | None, **rest: Any) -> Any:
            from msixtool.errors import UsageError

            vm = address(qmp, domain, connect)
            if bool(rest[parameter]) == (vm is not None):
                raise UsageError("what to read", expected="FILE, --qmp SOCKET or --domain NAME, one of them")
            if vm is None:
                return function(**rest)
            with _captured(vm, devices) as file:
                return function(**rest | {parameter: (file,) if parameter == "files" else file})

        qmp = click.option("--qmp", metavar="SOCKET", help="The VM behind this QMP socket, as it runs.")
        for option in (*reversed(domain_options), qmp):
            option(run)
        return run

    return decorate


@contextmanager
def _captured(vm: Address, devices: bool) -> Iterator[str]:
    """The stream of a running VM in a file that is there for the length of the block."""
    from msixtool import captured
    from msixtool.cli.output import warn
    from msixtool.cli.progress import progress_bar
    from msixtool.cli.signals import end_in_order

    with (
        end_in_order(),
        progress_bar("capture") as progress,
        captured(vm, devices=devices, progress=progress) as taken,
    ):
        for note in taken.notes:
            warn(note)
        yield taken.path
