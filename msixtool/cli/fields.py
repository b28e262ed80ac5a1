"""`msixtool fields`: every decoded field of the sections of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus
from msixtool.errors import with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Fields, OpenOptions, Section


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
    from msixtool.cli.output import SHOWN, console, for_each, heading, report
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
                print(*answer.json(), sep="")
            else:
                if len(files) > 1:
                    heading(console(), file)
                _print(console(), answer, show_all)
            for damage in answer.broken[:SHOWN]:
                warn(f"{file}: damaged: {damage}")
            return max(report(answer), ExitStatus.USAGE if answer.broken else ExitStatus.DONE)

    return for_each(files, one)


def _print(out: Console, answer: Fields, show_all: bool) -> None:
    for number, section in enumerate(answer):
        if number:
            out.print()
        _print_section(out, section, answer.origin.base_offset, show_all)


def _print_section(out: Console, section: Section, base_offset: int, show_all: bool) -> None:
    from msixtool.cli.listing import Listing

    item = section.item
    name = with_instance(section.name, section.instance)
    place = f"section {item.section_id}, {len(section.data)} bytes at {item.data_offset + base_offset:#x}"
    _print_heading(out, name, place)
    listing = Listing(section.data, out.width, show_all)
    for line in listing.members(section.tree, 2):
        out.print(line, soft_wrap=True)


def _print_heading(out: Console, name: str, place: str) -> None:
    if not out.is_terminal:
        out.print(f"{name}  {place}", soft_wrap=True)
        return
    from rich.text import Text

    out.print(Text.assemble((name, "bold"), f"  {place}"), soft_wrap=True)
