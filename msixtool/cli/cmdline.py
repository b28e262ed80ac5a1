"""`msixtool cmdline`: the QEMU command line that a stream loads into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from msixtool.dump import Dump

EXAMPLES = """\b
Examples:
  msixtool cmdline vm.mig
  msixtool cmdline vm.mig --qemu-version 10.0 --bios OVMF.fd
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
@options.container_options
@options.json_option
@options.traceback_option
def cmdline(
    file: str,
    qemu_version: str | None,
    program: str | None,
    bios: str | None,
    like_target: str | None,
    check: str | None,
    offset: int,
    snapshot: str | None,
    as_json: bool,
) -> ExitStatus:
    """Print the command line of a QEMU that loads FILE: machine, memory, every device at its place.

    -incoming, displays and monitors are left to you. Backends are harmless ones. What the stream does
    not tell is a note on standard error.
    """
    from msixtool.cli.output import print_json, report_damage, warn
    from msixtool.documents.cmdline import cmdline_document
    from msixtool.dump import Dump
    from msixtool.qemu.versions import parse_version
    from msixtool.tasks.cmdline import command_line

    version = parse_version(qemu_version) if qemu_version else None
    like = parse_version(like_target) if like_target else None
    with Dump.open(file, offset=offset, snapshot=snapshot) as dump:
        command = command_line(dump, version=version, program=program, bios=bios, like=like)
        loads = check is None or _loads(check, dump)
        if as_json:
            print_json(cmdline_document(dump, command))
        else:
            click.echo(command.shell())
            for note in command.notes:
                warn(f"{note.option}: {note.message}")
        return max(report_damage(dump), ExitStatus.DONE if loads else ExitStatus.REPORT)


def _loads(program: str, dump: Dump) -> bool:
    """Whether that QEMU loads the stream with the command made for it; what it says is a warning."""
    from msixtool.cli.output import warn
    from msixtool.cli.signals import end_in_order
    from msixtool.tasks.compat.on_program import OnProgram

    with end_in_order(), OnProgram(program) as target:
        trial = target.attempt(dump)
    if not trial.loaded:
        for line in trial.stderr.splitlines()[-4:]:
            warn(f"{program}: {line}")
    return trial.loaded
