"""`msixtool load`: what a load sets off in each device, without QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool.msix.events import Event
    from msixtool.tasks.load import Loaded


@click.command()
@options.file_argument
@options.device_option
@click.option(
    "--qemu-version", metavar="VERSION", help="The QEMU that loads, where releases differ [the newest known]."
)
@options.container_options
@options.json_option
@options.traceback_option
def load(
    file: str, device: str | None, qemu_version: str | None, offset: int, snapshot: str | None, as_json: bool
) -> ExitStatus:
    """Take each device through QEMU's load path: what fires, what is lost, the state after."""
    from msixtool.cli.output import console, print_json, report_damage
    from msixtool.documents import damage_document, load_document, source_document
    from msixtool.dump import Dump
    from msixtool.msix.versions import NEWEST
    from msixtool.qemu.versions import parse_version
    from msixtool.tasks.load import load_device
    from msixtool.tasks.refusals import refusals

    version = parse_version(qemu_version) if qemu_version else NEWEST
    with Dump.open(file, offset=offset, snapshot=snapshot) as dump:
        refused = refusals(dump, version)
        loaded = [load_device(each, version) for each in dump.select(device)]
        if as_json:
            print_json(load_document(source_document(dump), refused, loaded, damage_document(dump)))
        else:
            out = console()
            for each in loaded:
                _print_device(out, each, x86=dump.is_x86)
            for finding in refused:
                out.print(f"QEMU refuses this stream: {finding.section or 'stream'}: {finding.message}")
            out.print(_summary(loaded, len(refused)))
        if report_damage(dump):
            return ExitStatus.USAGE
        return ExitStatus.REPORT if refused else ExitStatus.DONE


def _print_device(out: Console, loaded: Loaded, *, x86: bool) -> None:
    name = f"{loaded.name}@{loaded.instance}" if loaded.instance else loaded.name
    out.print(name, style="bold")
    for line in _steps(loaded, x86=x86):
        out.print(f"  {line}")
    if loaded.lost or loaded.function_masked is None or any(m.delivered is None for m in loaded.messages):
        out.print(f"  {loaded.recovery}", style="yellow")
    out.print()


def _steps(loaded: Loaded, *, x86: bool) -> list[str]:
    """The load path in words, one step a line; runs of vectors that become live are one line."""
    from msixtool.msix import events as ev
    from msixtool.words import number_ranges, plural

    before = loaded.before
    pending = f", pending {number_ranges(before.pending)}" if before.pending else ", nothing pending"
    lines = [f"restored  {plural(before.vectors, 'vector')}{pending}"]
    live = [event.vector for event in loaded.events if isinstance(event, ev.Unmask)]
    for event in loaded.events:
        if isinstance(event, ev.FunctionMask):
            lines.append(f"function  {'masked: no vector is live' if event.masked else 'open'}")
            if live:
                lines.append(f"live      {number_ranges(live)}")
        elif text := _step(event, loaded, x86=x86):
            lines.append(text)
    kept = loaded.after.pending
    if kept:
        lines.append(f"after     still pending: {number_ranges(kept)}")
    return lines


def _step(event: Event, loaded: Loaded, *, x86: bool) -> str | None:
    from msixtool.msix import events as ev
    from msixtool.words import dropped_in_words, x86_message

    if isinstance(event, ev.Message):
        hit = f" ({x86_message(event.address, event.data)})" if x86 else ""
        return f"sent      vector {event.vector}: {event.data:#x} to {event.address:#x}{hit}"
    if isinstance(event, ev.MessageDropped):
        return f"LOST      vector {event.vector}: {dropped_in_words(event.reason)}"
    return None


def _summary(loaded: list[Loaded], refused: int) -> str:
    from msixtool.words import plural

    sent = sum(message.delivered is True for each in loaded for message in each.messages)
    lost = sum(len(each.lost) for each in loaded)
    unknown = sum(message.delivered is None for each in loaded for message in each.messages)
    parts = [plural(len(loaded), "device"), f"{plural(sent, 'message')} sent", f"{lost} lost"]
    if unknown:
        parts.append(f"{unknown} unknown")
    verdict = f"the load fails, {plural(refused, 'reason')}" if refused else "nothing here stops the load"
    return f"{', '.join(parts)}; {verdict}."
