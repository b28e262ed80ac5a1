"""`msixtool trace`: where each interrupt is."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import living, options
from msixtool.cli.page import Page, html_options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus
from msixtool.errors import with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Address, Interrupt, MsixDevice, OpenOptions, Ring, Route, Traced, Tracing

_WAITING = "available and not taken: the device may have missed a kick (stop and cont kick it again)"
_LOST, _DOUBT = "bold red", "yellow"


EXAMPLES = """\b
Examples:
  msixtool trace vm.mig --device virtio-blk
  msixtool trace first.mig --later second.mig
  msixtool trace --domain web1
  msixtool trace --qmp /run/vm.qmp --twice 1s"""


@click.command(epilog=EXAMPLES, short_help="Where each interrupt is: from its cause to its CPU.")
@options.file_or_vm_argument
@options.device_option
@click.option("--vector", type=click.IntRange(min=0), metavar="N", help="Only this vector.")
@options.path_option("--later", help="A stream of the same VM, a second or more later.")
@options.time_option(
    "--twice", "Look at the VM again after so long (1s or more): does it hang, and where?", least=0.01
)
@click.option("--ram", is_flag=True, help="Capture all of the VM's RAM: it stands until that is written.")
@living.vm_options("file")
@options.container_options
@options.json_option
@options.format_option
@html_options
@options.common_options
def trace(
    file: str | None,
    device: str | None,
    vector: int | None,
    later: str | None,
    twice: float | None,
    ram: bool,
    as_json: bool,
    html: str | None,
    force: bool,
    vm: Address | None,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Follow every interrupt from its cause to its CPU, and name those that are lost.

    Of a running VM device state is read, and of its RAM the rings and remapping tables alone: the guest
    stands for milliseconds. Status 1 where an interrupt is lost.
    """
    from msixtool.cli.output import SHOWN, give_answer
    from msixtool.cli.screen import remark, warn

    _check(vm, later, twice, ram)
    page = Page(html, force, inputs=[each for each in (file, later) if each is not None])
    if vm is None:
        assert file is not None
        answer = _of_files(file, later, device, vector, where)
    else:
        answer = _of_vm(vm, device, vector, twice, ram)
    give_answer(answer, _print, page, as_json=as_json)
    for line in answer.notes:
        remark(f"{answer.origin.path}: {line}")
    for origin, damage in zip(answer.origins, (answer.trace.damage, answer.trace.later_damage), strict=False):
        for line in damage[:SHOWN]:
            warn(f"{origin.path}: damaged: {line}")
    if answer.damage:
        return ExitStatus.USAGE
    return ExitStatus.DONE if answer.ok else ExitStatus.REPORT


def _check(vm: Address | None, later: str | None, twice: float | None, ram: bool) -> None:
    from msixtool.errors import UsageError

    if vm is None and (twice is not None or ram):
        raise UsageError("--ram and --twice are of a running VM", expected="--qmp or --domain with them")
    if vm is not None and later is not None:
        raise UsageError("--later is of a stream", expected="--twice, of a running VM")


def _of_files(
    file: str, later: str | None, device: str | None, vector: int | None, where: OpenOptions
) -> Tracing:
    from msixtool import Dump

    with (
        Dump.open(file, **where) as dump,
        nullcontext() if later is None else Dump.open(later) as second,
    ):
        return dump.trace(device, vector=vector, later=second)


def _of_vm(vm: Address, device: str | None, vector: int | None, twice: float | None, ram: bool) -> Tracing:
    from msixtool import trace_vm
    from msixtool.cli.progress import progress_bar

    with end_in_order(), progress_bar("capture") as progress:
        return trace_vm(vm, device, vector=vector, twice=twice, ram=ram, progress=progress)


def _print(out: Console, answer: Tracing) -> None:
    from msixtool.words import plural

    for each in answer.devices:
        _print_device(out, each)
    for device, row in answer.lost:
        out.print(f"{_title(device, row)}: {row.verdict}. {answer.meaning(row)}", style=_LOST)
        out.print(f"  {answer.recovery(device, row)}")
    for device, row in answer.suspects:
        out.print(f"{_title(device, row)}: suspect. {_SUSPECT}", style=_DOUBT)
    rows = [row for each in answer.devices for row in each.interrupts]
    owed = sum(row.owed is True for row in rows)
    lost = len(answer.lost)
    out.print(
        f"{plural(len(answer.devices), 'device')}, {plural(len(rows), 'interrupt')}, {owed} owed; "
        + (f"{lost} lost." if lost else "none lost."),
        style=_LOST if lost else None,
    )
    if answer.waiting:
        out.print(
            f"{plural(answer.waiting, 'queue')} waited for the device in both looks: {_WAITING}.", style=_LOST
        )
    elif answer.waiting == 0 and not lost:
        out.print("No interrupt hangs: none is lost, or stuck at its CPU, at the second look either.")


_SUSPECT = (
    "The interrupt is owed and nowhere, its CPU is halted, another CPU runs: "
    "a second capture decides (--later)."
)


def _title(device: MsixDevice, row: Interrupt) -> str:
    return f"{with_instance(device.name, device.instance)} {_serves(row)}"


def _serves(row: Interrupt) -> str:
    if row.use is None:
        return f"vector {row.vector}"
    return f"queue {row.queue}" if row.queue is not None else str(row.use)


def _print_device(out: Console, traced: Traced) -> None:
    from msixtool.cli.output import table

    device = traced.device
    name, notes = with_instance(device.name, device.instance), []
    if device.function_masked:
        notes.append("every vector masked")
    if device.bus_master is False:
        notes.append("bus master off")
    out.print(name + (f"  {', '.join(notes)}" if notes else ""), style="bold")
    rows = table(("Vec", "right"), "Serves", "Avail/taken/used", "Route", "Interrupt", "Verdict")
    for row in traced.interrupts:
        style = (
            _LOST if str(row.verdict) in ("lost", "stuck") else _DOUBT if row.verdict == "suspect" else None
        )
        rows.add_row(
            "-" if row.vector is None else str(row.vector),
            _serves(row) if row.use else "-",
            _standing(row),
            _route(row.route),
            _state(row),
            str(row.verdict),
            style=style,
        )
    out.print(rows)
    for row in traced.interrupts:
        if device.has_requests and row.ring is not None and row.ring.waiting:
            out.print(f"{_serves(row)}: {row.ring.waiting} {_WAITING}", style=_DOUBT)
    out.print()


def _standing(row: Interrupt) -> str:
    """How far driver and device are, of a queue or of what else the vector serves."""
    if row.cause is not None:
        return ", ".join(
            f"{name} {value:#x}" if value > 0xFFFF else f"{name} {value}" for name, value in row.cause.shown
        )
    return "-" if row.ring is None else _indices(row.ring)


def _indices(ring: Ring) -> str:
    shown = (ring.available, ring.taken, ring.used)
    return "/".join("-" if value is None else str(value) for value in shown)


def _route(route: Route) -> str:
    from msixtool.words import number_ranges

    if not route.cpus:
        return str(route.note or ("-" if route.kind == "none" else route.kind))
    text = f"CPU {number_ranges(route.cpus)}"
    if route.cpu_vector is not None:
        text += f" vector {route.cpu_vector:#04x}"
    if route.irte is not None:
        text += f", IRTE {route.irte}"
    return text + (f" ({route.note})" if route.note else "")


_PLACES = {"pending": "pending bit", "apic-irr": "requested", "apic-isr": "in service"}


def _state(row: Interrupt) -> str:
    owed = {True: "owed", False: "not owed", None: "?"}[row.owed]
    where = _PLACES[row.where] if row.where else "nowhere" if row.owed else None
    return ", ".join(filter(None, [owed, where, "masked" if row.masked else None]))
