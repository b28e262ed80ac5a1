"""`msixtool fields`: every decoded field of the sections of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus
from msixtool.errors import with_instance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msixtool import Fields, OpenOptions


@click.command(short_help="Every field of every section by name.")
@options.files_argument
@options.section_option
@click.option("--all", "show_all", is_flag=True, help="Whole buffers and arrays: do not fold them.")
@click.option("--desc", is_flag=True, help="The vmdesc itself, as JSON.")
@options.container_options
@options.json_option
@options.common_options
def fields(
    files: tuple[str, ...],
    device: str | None,
    show_all: bool,
    desc: bool,
    as_json: bool,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Show the fields of every section by name, as the vmdesc describes them; virtio too."""
    from msixtool import Dump
    from msixtool.cli.output import SHOWN, console, for_each, heading, print_lines, print_pieces, report
    from msixtool.cli.screen import warn

    def one(file: str) -> ExitStatus:
        with Dump.open(file, **where) as dump:
            if desc:
                description = dump.description(device)
                text = description.text(whole=as_json)
                click.echo(" ".join(text.split("\n")) if as_json and len(files) > 1 else text)
                return report(description)
            answer = dump.fields(device)
            if as_json:
                # Arrays of 10^5 numbers, one to a line, are of no use to anybody.
                print_pieces(answer.json())
            else:
                if len(files) > 1:
                    heading(console(), file)
                out = console()
                print_lines(out, _lines(answer, out.width, show_all))
            for damage in answer.broken[:SHOWN]:
                warn(f"{file}: damaged: {damage}")
            return max(report(answer), ExitStatus.USAGE if answer.broken else ExitStatus.DONE)

    return for_each(files, one)


def _lines(answer: Fields, width: int, show_all: bool) -> Iterator[tuple[str, str]]:
    """What stands out in a line, and the rest of it."""
    from msixtool.cli.listing import Listing

    base = answer.origin.base_offset
    for number, section in enumerate(answer):
        item, data = section.item, section.data
        if number:
            yield "", ""
        name = with_instance(section.name, section.instance)
        yield name, f"  section {item.section_id}, {len(data)} bytes at {item.data_offset + base:#x}"
        for line in Listing(data, width, show_all).members(section.tree, 2):
            yield "", line
