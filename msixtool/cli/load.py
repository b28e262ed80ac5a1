"""`msixtool load`: what a load sets off in each device, without QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from msixtool.cli import options
from msixtool.cli.living import or_vm
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus
from msixtool.errors import with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Load, Loaded
    from msixtool.msix.events import MsixEvent


LOST = "LOST"


@click.command(short_help="What a load sets off, fires, loses, refuses.")
@options.file_or_vm_argument
@options.device_option
@click.option(
    "--qemu-version", metavar="VERSION", help="The QEMU that loads, where releases differ [the newest known]."
)
@click.option("--xen", is_flag=True, help="It runs under Xen: a vector that is a pirq is never masked.")
@options.kind_option("Of a raw vmstate: the kind of device, as e1000e.")
@click.option("--vectors", type=int, metavar="N", help="Of a raw vmstate: how many vectors it has.")
@options.path_option("-o", "--output", metavar="OUT", help="Write the state after the load, as FILE is.")
@click.option("--force", is_flag=True, help="Write over a file that is there. Never over FILE.")
@or_vm("file")
@options.container_options
@options.json_option
@options.common_options
@end_in_order()
def load(file: str, output: str | None, as_json: bool, **rest: Any) -> ExitStatus:
    """Take each device through QEMU's load path: what fires, what is lost, the state after.

    FILE is a stream, a SPEC, or a raw vmstate as `save` writes it (with --kind). What a SPEC or a
    vmstate does not say is taken as a driver leaves it: MSI-X enabled, bus mastering on. The status is
    1 where QEMU would refuse the stream, or an interrupt is lost.
    """
    from msixtool import load as ask
    from msixtool.cli.output import console, print_json, report
    from msixtool.cli.screen import warn

    answer = ask(file, output=output, **rest)
    if as_json:
        print_json(answer.document())
    else:
        _print(console(), answer)
    status = report(answer)
    if output is not None and answer.written is None:
        warn(f"{output}: not written, for {file} is damaged")
    return status


def _print(out: Console, answer: Load) -> None:
    for each in answer.devices:
        _print_device(out, each, x86=answer.x86)
    for finding in answer.refusals:
        out.print(f"QEMU refuses this stream: {finding.section or 'stream'}: {finding.message}")
    for finding in answer.doubts:
        out.print(f"warning: {finding.section or 'stream'}: {finding.message}")
    out.print(_summary(answer), style=None if answer.ok else "bold red")


def _print_device(out: Console, loaded: Loaded, *, x86: bool) -> None:
    from msixtool.cli.plain import Column, Rows

    out.print(with_instance(loaded.name, loaded.instance), style="bold")
    steps = Rows(Column(whole=True), Column(), heading=False)
    for what, text in _steps(loaded, x86=x86):
        steps.add_row(f"  {what}", text, style="bold red" if what == LOST else None)
    out.print(steps)
    if loaded.lost or loaded.function_masked is None or any(m.delivered is None for m in loaded.messages):
        from rich.padding import Padding

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


def _step(event: MsixEvent, *, x86: bool) -> tuple[str, str] | None:
    from msixtool.formats.x86 import x86_message
    from msixtool.msix import events as ev
    from msixtool.words import dropped_in_words

    if isinstance(event, ev.MessageEvent):
        hit = f" ({x86_message(event.address, event.data)})" if x86 else ""
        return "sent", f"vector {event.vector}: {event.data:#x} to {event.address:#x}{hit}"
    if isinstance(event, ev.MessageDropped):
        return LOST, f"vector {event.vector}: {dropped_in_words(event.reason)}"
    return None


def _summary(answer: Load) -> str:
    from msixtool.words import plural

    loaded, refused, doubts = answer.devices, len(answer.refusals), len(answer.doubts)
    sent = sum(message.delivered is True for each in loaded for message in each.messages)
    unknown = sum(message.delivered is None for each in loaded for message in each.messages)
    parts = [plural(len(loaded), "device"), f"{plural(sent, 'message')} sent", f"{len(answer.lost)} lost"]
    if unknown:
        parts.append(f"{unknown} unknown")
    verdict = f"the load fails, {plural(refused, 'reason')}" if refused else "nothing here stops the load"
    if doubts and not refused:
        verdict += f", {plural(doubts, 'warning')}"
    return f"{', '.join(parts)}; {verdict}."
