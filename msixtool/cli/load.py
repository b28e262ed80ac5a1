"""`msixtool load`: what a load sets off in each device, without QEMU."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from msixtool.cli import options
from msixtool.cli.living import or_vm
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from msixtool.dump import Dump
    from msixtool.errors import NotAStreamError
    from msixtool.msix.events import Event
    from msixtool.msix.versions import QemuVersion
    from msixtool.tasks.finding import Finding
    from msixtool.tasks.forge_output import Base
    from msixtool.tasks.load import Loaded


LOST = "LOST"


@click.command(short_help="What a load sets off, fires, loses, refuses.")
@options.file_or_vm_argument
@options.device_option
@click.option(
    "--qemu-version", metavar="VERSION", help="The QEMU that loads, where releases differ [the newest known]."
)
@click.option("--kind", metavar="KIND", help="Of a raw vmstate: the kind of device, as e1000e.")
@click.option("--vectors", type=int, metavar="N", help="Of a raw vmstate: how many vectors it has.")
@click.option("-o", "--output", metavar="OUT", help="Write the state after the load, as FILE is.")
@click.option("--force", is_flag=True, help="Write over a file that is there. Never over FILE.")
@options.container_options
@options.json_option
@options.traceback_option
@or_vm("file")
@end_in_order()
def load(file: str, qemu_version: str | None, as_json: bool, **rest: Any) -> ExitStatus:
    """Take each device through QEMU's load path: what fires, what is lost, the state after.

    FILE is a stream, a SPEC, or a raw vmstate as `save` writes it (with --kind). What a SPEC or a
    vmstate does not say is taken as a driver leaves it: MSI-X enabled, bus mastering on. The status is
    1 where QEMU would refuse the stream, or an interrupt is lost.
    """
    from msixtool.errors import NotAStreamError
    from msixtool.msix.versions import NEWEST
    from msixtool.qemu.versions import whole_version

    version = whole_version(qemu_version) if qemu_version else NEWEST
    try:
        return _load_stream(file, version, as_json, **rest)
    except NotAStreamError as error:
        if file == "-":
            raise
        return _load_saved(file, version, as_json, error, **rest)


def _load_stream(
    file: str,
    version: QemuVersion,
    as_json: bool,
    *,
    device: str | None,
    offset: int,
    snapshot: str | None,
    output: str | None,
    force: bool,
    kind: str | None,
    vectors: int | None,
) -> ExitStatus:
    from msixtool.cli.output import report_damage, warn
    from msixtool.documents import damage_document, source_document
    from msixtool.errors import UsageError
    from msixtool.tasks.load import load_device
    from msixtool.tasks.refusals import refusals, warnings

    with _stream(file, output, force, offset, snapshot) as (dump, base):
        if kind or vectors:
            raise UsageError("--kind and --vectors", path=file, expected="a raw vmstate", found="a stream")
        refused = refusals(dump, version)
        told = [*refused, *warnings(dump, version)]
        loaded = [load_device(each, version) for each in dump.select(device)]
        # First what is to last: whoever reads the report may close the pipe.
        if base is not None and output is not None and not dump.damage:
            from msixtool.tasks.load_file import write_loaded_stream

            write_loaded_stream(base, loaded, output, force=force)
        _report(
            source_document(dump),
            told,
            loaded,
            damage_document(dump),
            as_json,
            x86=dump.is_x86,
        )
        status = report_damage(dump)
        if status and output is not None:
            warn(f"{output}: not written, for {file} is damaged")
    return status or _status(refused, loaded)


@contextmanager
def _stream(
    file: str, output: str | None, force: bool, offset: int, snapshot: str | None
) -> Iterator[tuple[Dump, Base | None]]:
    """The stream, and where it is to be written again, as the base of that: then a pipe is kept on disk."""
    from msixtool.dump import Dump

    if output is None:
        with Dump.open(file, offset=offset, snapshot=snapshot) as dump:
            yield dump, None
        return
    from msixtool.errors import UsageError
    from msixtool.output.files import check_output
    from msixtool.tasks.forge_output import open_base

    if output == "-":
        raise UsageError("the report of the load goes to standard output", expected="-o FILE", found="-o -")
    check_output(output, force=force, inputs=[file])
    with open_base(file, offset=offset, snapshot=snapshot, damaged=True) as base:
        yield base.dump, base


def _load_saved(
    file: str,
    version: QemuVersion,
    as_json: bool,
    error: NotAStreamError,
    *,
    device: str | None,
    kind: str | None,
    vectors: int | None,
    output: str | None,
    force: bool,
    **_: Any,
) -> ExitStatus:
    import os

    from msixtool.documents import saved_source
    from msixtool.errors import NotAStreamError
    from msixtool.formats.msix import vectors_of_size
    from msixtool.tasks.load_file import load_saved, write_loaded_saved

    try:
        devices, loaded = load_saved(file, kind=kind, vectors=vectors, device=device, qemu_version=version)
    except NotAStreamError:
        if kind is not None:
            raise NotAStreamError(
                "neither a stream, a SPEC nor a vmstate", path=file, expected="16·n + ceil(n/8) bytes"
            ) from None
        # Without a kind the file was meant to be a stream: say what is wrong with it as one.
        if vectors_of_size(os.path.getsize(file)):
            error.expected = "QEVM, or a raw vmstate with its --kind"
        raise error from None
    source = saved_source(file, os.path.getsize(file))
    if output is not None:
        write_loaded_saved(file, devices, loaded, output, force=force)
    _report(source, [], loaded, [], as_json, x86=False)
    return _status([], loaded)


def _status(refused: list[Finding], loaded: list[Loaded]) -> ExitStatus:
    """Something to report: the load would fail, or loses an interrupt."""
    return ExitStatus.REPORT if refused or any(each.lost for each in loaded) else ExitStatus.DONE


def _report(
    source: dict[str, Any],
    refused: list[Finding],
    loaded: list[Loaded],
    damage: list[str],
    as_json: bool,
    *,
    x86: bool,
) -> None:
    from msixtool.cli.output import console, print_json
    from msixtool.documents import load_document

    if as_json:
        print_json(load_document(source, refused, loaded, damage))
        return
    out = console()
    for each in loaded:
        _print_device(out, each, x86=x86)
    errors = [finding for finding in refused if finding.severity == "error"]
    for finding in errors:
        out.print(f"QEMU refuses this stream: {finding.section or 'stream'}: {finding.message}")
    for finding in refused:
        if finding.severity != "error":
            out.print(f"warning: {finding.section or 'stream'}: {finding.message}")
    bad = errors or any(each.lost for each in loaded)
    summary = _summary(loaded, len(errors), len(refused) - len(errors))
    out.print(summary, style="bold red" if bad else None)


def _print_device(out: Console, loaded: Loaded, *, x86: bool) -> None:
    from rich.padding import Padding
    from rich.table import Table

    name = f"{loaded.name}@{loaded.instance}" if loaded.instance else loaded.name
    out.print(name, style="bold")
    steps = Table.grid(padding=(0, 2))
    steps.add_column(no_wrap=True)
    steps.add_column(overflow="fold")
    for what, text in _steps(loaded, x86=x86):
        steps.add_row(what, text, style="bold red" if what == LOST else None)
    out.print(Padding(steps, (0, 0, 0, 2)))
    if loaded.lost or loaded.function_masked is None or any(m.delivered is None for m in loaded.messages):
        out.print(Padding(loaded.recovery, (0, 0, 0, 2)), style="yellow")
    out.print()


def _steps(loaded: Loaded, *, x86: bool) -> list[tuple[str, str]]:
    """The load path in words, one step a row; the vectors that become live are one step."""
    from msixtool.msix import events as ev
    from msixtool.words import number_ranges, plural

    before = loaded.before
    pending = f", pending {number_ranges(before.pending)}" if before.pending else ", nothing pending"
    rows = [("restored", f"{plural(before.vectors, 'vector')}{pending}")]
    live = [event.vector for event in loaded.events if isinstance(event, ev.Unmask)]
    for event in loaded.events:
        if isinstance(event, ev.FunctionMask):
            rows.append(("function", "masked: no vector is live" if event.masked else "open"))
            if live:
                rows.append(("live", number_ranges(live)))
        elif row := _step(event, x86=x86):
            rows.append(row)
    if loaded.after.pending:
        rows.append(("after", f"still pending: {number_ranges(loaded.after.pending)}"))
    return rows


def _step(event: Event, *, x86: bool) -> tuple[str, str] | None:
    from msixtool.formats.x86 import x86_message
    from msixtool.msix import events as ev
    from msixtool.words import dropped_in_words

    if isinstance(event, ev.Message):
        hit = f" ({x86_message(event.address, event.data)})" if x86 else ""
        return "sent", f"vector {event.vector}: {event.data:#x} to {event.address:#x}{hit}"
    if isinstance(event, ev.MessageDropped):
        return LOST, f"vector {event.vector}: {dropped_in_words(event.reason)}"
    return None


def _summary(loaded: list[Loaded], refused: int, doubts: int = 0) -> str:
    from msixtool.words import plural

    sent = sum(message.delivered is True for each in loaded for message in each.messages)
    lost = sum(len(each.lost) for each in loaded)
    unknown = sum(message.delivered is None for each in loaded for message in each.messages)
    parts = [plural(len(loaded), "device"), f"{plural(sent, 'message')} sent", f"{lost} lost"]
    if unknown:
        parts.append(f"{unknown} unknown")
    verdict = f"the load fails, {plural(refused, 'reason')}" if refused else "nothing here stops the load"
    if doubts and not refused:
        verdict += f", {plural(doubts, 'warning')}"
    return f"{', '.join(parts)}; {verdict}."
