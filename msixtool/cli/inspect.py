"""`msixtool inspect`: what a stream is, what it holds, and its devices with MSI-X."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import options
from msixtool.cli.page import Page, html_options
from msixtool.cli.status import ExitStatus
from msixtool.errors import visible, with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Dump, MsixDevice, OpenOptions


@click.command(short_help="What a stream is, what it holds, its devices.")
@options.files_argument
@click.option("--sections", is_flag=True, help="List every section: offset, size, share of the file.")
@click.option("--xml", is_flag=True, help="Print the domain XML of a libvirt save image, and nothing else.")
@options.jobs_option
@options.only_option
@options.container_options
@options.json_option
@options.format_option
@html_options
@options.common_options
def inspect(
    files: tuple[str, ...],
    sections: bool,
    xml: bool,
    jobs: int | None,
    as_json: bool,
    html: str | None,
    force: bool,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Show what a stream is, what it holds, and every device with MSI-X in it.

    FILE may be a folder: then there is a table of one row a stream, or a line of JSON for each.
    """
    from msixtool import Dump

    as_json = as_json and not xml
    page = Page(html, force, inputs=files)

    def opened(file: str) -> Dump:
        return Dump.open(file, **where)

    def show(dump: Dump) -> None:
        if xml:
            click.echo(_xml(dump))
        else:
            _print(dump, sections)

    if options.are_many(files):
        return _inspect_many(files, opened, show, page, jobs=jobs, as_json=as_json, whole=sections or xml)
    from msixtool.cli.output import print_json, report

    with opened(files[0]) as dump:
        if as_json:
            print_json(dump.inspect().document())
        else:
            show(dump)
        if page.is_asked:
            from msixtool.pages import inspect_page

            page.write(
                inspect_page(dump.inspect().document() | {"devices": dump.show().document()["devices"]})
            )
        return report(dump.inspect())


def _inspect_many(
    files: tuple[str, ...],
    opened: Callable[[str], Dump],
    show: Callable[[Dump], None],
    page: Page,
    *,
    jobs: int | None,
    as_json: bool,
    whole: bool,
) -> ExitStatus:
    """Each file as it would be alone; a table where there are folders, and `whole` does not ask for more."""
    from msixtool.cli import many
    from msixtool.cli.output import print_json, report
    from msixtool.cli.summary import InspectSummary, inspect_facts
    from msixtool.pages import inspect_fleet_page
    from msixtool.pages.views import fleet_row

    summary = InspectSummary() if any(map(options.is_folder, files)) and not (as_json or whole) else None

    def one(file: str) -> many.StreamOutcome:
        with opened(file) as dump:
            whole_text = summary is None and not as_json
            if whole_text:
                show(dump)
                if not page.is_asked:
                    status = report(dump.inspect())
                    return many.StreamOutcome(status, damaged=bool(status))
            answer = dump.inspect()
            document = answer.document()
            if as_json:
                print_json(document, one_line=True)
            status = report(answer, brief=not whole_text)
            row = fleet_row(document) if page.is_asked else None
            facts = inspect_facts(document) if summary else None
            return many.StreamOutcome(status, bool(status), facts, row, answer.origin.domain)

    status = many.run_many(files, one, jobs=jobs, summary=summary, rows=page.rows)
    if page.is_asked:
        page.write(inspect_fleet_page(page.rows))
    return status


def _print(dump: Dump, sections: bool) -> None:
    from msixtool.cli.output import console

    out = console()
    _print_stream(out, dump)
    _print_snapshots(out, dump)
    _print_devices(out, dump)
    if sections:
        _print_sections(out, dump)


def _print_stream(out: Console, dump: Dump) -> None:
    from msixtool.cli.plain import Column, Rows
    from msixtool.words import byte_size, plural, writer_in_words

    index = dump.index
    layers = " in ".join(layer["kind"] for layer in reversed(dump.layers))
    heading = f"{visible(dump.path)}: QEMU migration stream" + (f" in {layers}" if layers else "")
    out.print(heading, style="bold", soft_wrap=True)
    facts = Rows(Column(whole=True, style="dim"), Column(), heading=False)
    if dump.domain:
        facts.add_row("domain", dump.domain)
    facts.add_row("machine", index.machine or "not in the stream")
    facts.add_row("written by", writer_in_words(*map(_release, dump.writer[:2])))
    facts.add_row("size", _sizes(dump))
    ram = [
        f"{block.idstr} {byte_size(block.used_length)}"
        for block in index.blocks
        if block.used_length >= 1 << 20
    ]
    total = sum(block.used_length for block in index.blocks)
    facts.add_row(
        "RAM",
        f"{byte_size(total)} in {plural(len(index.blocks), 'block')}: {', '.join(ram)}" if ram else "none",
    )
    facts.add_row("page size", byte_size(index.page_size) if index.page_size else "not in the stream")
    facts.add_row("capabilities", ", ".join(index.capabilities) or "none")
    if index.uuid is not None:
        facts.add_row("UUID", index.uuid.hex())
    count = sum(1 for _ in index.full_sections())
    facts.add_row("sections", f"{count} of device state, {_style(dump)}")
    out.print(facts)


def _release(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _sizes(dump: Dump) -> str:
    from msixtool.words import byte_size

    text = f"{dump.size:,} bytes ({byte_size(dump.size)})"
    return text if dump.index.end == dump.size else f"{text}, {dump.index.end:,} bytes of stream"


def _style(dump: Dump) -> str:
    vmdesc = "with vmdesc" if dump.index.description else "no vmdesc"
    footers = {True: "with footers", False: "no footers", None: "no footers"}[dump.index.footers]
    return f"{vmdesc}, {footers}"


def _xml(dump: Dump) -> str:
    from msixtool.errors import UsageError

    text = dump.domain_xml()
    if text is None:
        raise UsageError("--xml", path=dump.path, expected="a libvirt save image")
    return text


def _print_snapshots(out: Console, dump: Dump) -> None:
    """The internal snapshots of a qcow2 image; the one that is read is marked."""
    from msixtool.cli.output import table
    from msixtool.words import byte_size

    if not dump.snapshots:
        return
    rows = table("Snapshot", ("Id", "right"), "Date (UTC)", ("VM clock", "right"), ("Size", "right"), "")
    for snapshot in dump.snapshots:
        rows.add_row(
            snapshot.name,
            str(snapshot.id),
            f"{snapshot.date:%Y-%m-%d %H:%M:%S}",
            f"{snapshot.vm_clock_ns / 1e9:.3f} s",
            byte_size(snapshot.vm_state_size),
            "shown" if snapshot == dump.snapshot else "",
        )
    out.print()
    out.print(rows)


def _print_devices(out: Console, dump: Dump) -> None:
    from msixtool.cli.output import table

    out.print()
    if not dump.devices:
        out.print("No device with MSI-X.")
        return
    rows = table(
        "Device",
        ("Vec", "right"),
        "MSI-X",
        ("Masked", "right"),
        ("Pending", "right"),
        "Config",
        "Queues",
    )
    for device in dump.devices:
        rows.add_row(*_row(device), style="yellow" if device.state.pending else None)
    out.print(rows)


def _row(device: MsixDevice) -> list[str]:
    from msixtool.words import queue_vectors_in_words

    config = "-"
    if device.virtio is not None:
        config = "none" if device.config_vector is None else str(device.config_vector)
    return [
        with_instance(device.name, device.instance),
        str(device.vectors),
        _state(device),
        str(device.masked),
        str(len(device.state.pending)),
        config,
        queue_vectors_in_words(device.queue_vectors),
    ]


def _state(device: MsixDevice) -> str:
    """Enabled or not, and the function mask."""
    if device.capability is None:
        return "unknown"
    enabled = "on" if device.capability.enabled else "off"
    return f"{enabled}, masked" if device.capability.function_mask else enabled


def _print_sections(out: Console, dump: Dump) -> None:
    from msixtool.cli.output import table
    from msixtool.words import byte_size

    rows = table(
        ("Offset", "right"),
        ("Size", "right"),
        ("Share", "right"),
        "Type",
        ("Id", "right"),
        "Section",
        ("Ver", "right"),
    )
    total = max(1, dump.index.end)
    for item in dump.index.items:
        rows.add_row(
            f"{item.offset + dump.base_offset:#x}",
            byte_size(item.length),
            f"{100 * item.length / total:.1f}%",
            item.type.word,
            "" if item.section_id is None else str(item.section_id),
            with_instance(item.idstr or "", item.instance_id),
            "" if item.version_id is None else str(item.version_id),
        )
    out.print()
    out.print(rows)
