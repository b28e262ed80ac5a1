"""`msixtool save`: the MSI-X state of one device, taken out of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from msixtool import OpenOptions


@click.command(short_help="Take one device's MSI-X state out.")
@options.file_argument
@options.one_device_option(
    "The device: idstr, PCI address (03.0), kind, NAME@INSTANCE, or a glob of one [the only one]."
)
@options.path_option(
    "-o", "--output", metavar="OUT", required=True, help="The file to write; - for standard output."
)
@click.option("--text", is_flag=True, help="A SPEC in TOML instead, to edit and to forge back.")
@click.option("--force", is_flag=True, help="Write over a file that is there. Never over FILE.")
@options.container_options
@options.common_options
@end_in_order()
def save(
    file: str, device: str | None, output: str, text: bool, force: bool, **where: Unpack[OpenOptions]
) -> ExitStatus:
    """Write the MSI-X state of one device as QEMU does: the table, then the pending bits.

    For n vectors these are 16*n + ceil(n/8) bytes. With --text it is a SPEC with a line for each
    vector that says what it is for; `forge --spec` puts it back.
    """
    from msixtool import Dump
    from msixtool.cli.output import report
    from msixtool.output.files import check_output, refuse_terminal

    check_output(output, force=force, inputs=[file])
    if not text:
        refuse_terminal(output)
    with Dump.open(file, **where) as dump:
        dump.save(output, device, text=text, force=force)
        return report(dump.inspect())
