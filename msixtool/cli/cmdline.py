"""`msixtool cmdline`: the QEMU command line that a stream loads into."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from msixtool import CommandOptions

_MOST_NOTES = 100
"""Notes that a person is given: more than any real machine has, so that damage below them is seen."""

EXAMPLES = """\b
Examples:
  msixtool cmdline vm.mig
  msixtool cmdline vm.mig --qemu-version 10.0 --bios OVMF.fd
  msixtool cmdline vm.mig --check qemu-system-x86_64
  msixtool cmdline vm.mig --libvirt > vm.xml && virsh define vm.xml
  msixtool cmdline vm.mig --json"""


@click.command(epilog=EXAMPLES, short_help="The QEMU command line that a stream loads into.")
@options.file_argument
@click.option("--qemu-version", metavar="VERSION", help="The QEMU that takes it [the oldest writer].")
@click.option("--program", metavar="NAME", help="What QEMU is called in it [by the machine].")
@click.option("--bios", metavar="PATH", help="A firmware that is not QEMU's own.")
@click.option("--like-target", metavar="VERSION", help="The nearest machine type that this QEMU has.")
@click.option(
    "--check", metavar="PROGRAM", help="Load FILE into this QEMU with the command, paused, and end it."
)
@click.option("--libvirt", is_flag=True, help="Print a libvirt domain's XML instead.")
@options.container_options
@options.json_option
@options.common_options
def cmdline(
    file: str, offset: int, snapshot: str | None, as_json: bool, **how: Unpack[CommandOptions]
) -> ExitStatus:
    """Print the command line of a QEMU that loads FILE: machine, memory, every device at its place.

    -incoming, displays and monitors are left to you. Backends are harmless ones. What the stream does
    not tell is a note on standard error.
    """
    from msixtool import Dump
    from msixtool.cli.output import print_json, report
    from msixtool.cli.screen import warn

    with (
        end_in_order() if how["check"] else nullcontext(),
        Dump.open(file, offset=offset, snapshot=snapshot) as dump,
    ):
        answer = dump.cmdline(**how)
    if answer.trial is not None and not answer.ok:
        for line in answer.trial.stderr.splitlines()[-4:]:
            warn(f"{how['check']}: {line}")
    if as_json:
        print_json(answer.document())
    else:
        click.echo(answer.shell() if answer.domain is None else answer.domain)
        for note in answer.notes[:_MOST_NOTES]:
            warn(f"{note.option}: {note.message}")
        if len(answer.notes) > _MOST_NOTES:
            warn(f"and {len(answer.notes) - _MOST_NOTES} more notes (all of them with --json)")
    return report(answer)
