"""`msixtool show`: each vector of each device."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import living, options
from msixtool.cli.status import ExitStatus
from msixtool.errors import with_instance

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool import Address, Look, MsixDevice, OpenOptions, Vectors

_CHANGED, _PENDING = "bold green", "yellow"
FOLD = 4
"""Runs of at least this many equal, untouched vectors become one row."""


EXAMPLES = """\b
Examples:
  msixtool show vm.mig --device 03.0
  msixtool show --domain web1
  msixtool show --qmp /run/vm.qmp --device virtio-net --watch 2s"""


@click.command(epilog=EXAMPLES, short_help="Each vector: address, data, mask, pending bit.")
@options.files_or_vm_argument
@options.device_option
@options.saved_kind_option
@click.option("--all", "show_all", is_flag=True, help="Every vector: do not fold runs of untouched ones.")
@click.option("--hex", "as_hex", is_flag=True, help="An annotated hexdump of table and PBA instead.")
@options.time_option("--watch", "Look at the VM every so long; what has changed is in colour.", least=0.1)
@living.vm_options("files")
@options.container_options
@options.json_option
@options.common_options
def show(
    files: tuple[str, ...],
    device: str | None,
    kind: str | None,
    show_all: bool,
    as_hex: bool,
    watch: float | None,
    as_json: bool,
    vm: Address | None,
    **where: Unpack[OpenOptions],
) -> ExitStatus:
    """Show each vector: address, data, mask, pending bit, and what uses it.

    FILE is a stream, or what `save` wrote of one. A running VM stands for milliseconds.
    """
    from msixtool import open_input
    from msixtool.cli.output import console, for_each, heading, print_json, report
    from msixtool.errors import UsageError

    if watch is not None:
        from msixtool import watch_vm
        from msixtool.cli import watching

        if vm is None:
            raise UsageError("--watch is of a running VM", expected="--qmp or --domain with it")

        def draw(out: Console, look: Look) -> None:
            _print(out, look.vectors, show_all, as_hex, _changed(look))

        return watching.watch(watch_vm(vm, device, every=watch), draw, watch, as_json=as_json)

    def one(file: str | PathLike[str]) -> ExitStatus:
        given = open_input(file, kind=kind, **where)
        with given:
            answer = given.show(device)
            if as_json:
                print_json(answer.document(), one_line=len(files) > 1)
            else:
                if len(files) > 1:
                    heading(console(), file)
                _print(console(), answer, show_all, as_hex)
            return report(answer)

    if vm is None:
        return for_each(files, one)
    with living.captured_file(vm) as file:
        return one(file)


Place = tuple[str, int, int | None]
"""A device by name and instance, and one of its vectors, or None for the device itself."""


def _changed(look: Look) -> frozenset[Place]:
    changes = () if look.since is None else look.since.changes
    return frozenset((each.device, each.instance, each.vector) for each in changes)


def _print(
    out: Console, answer: Vectors, show_all: bool, as_hex: bool, changed: frozenset[Place] = frozenset()
) -> None:
    """Every device, the one below the other; what has `changed` stands out."""
    for number, each in enumerate(answer.devices):
        if number:
            out.print()
        here = {
            vector for name, instance, vector in changed if (name, instance) == (each.name, each.instance)
        }
        _print_heading(out, answer, each, _CHANGED if None in here else None)
        if as_hex:
            _print_hex(out, each, answer.origin.base_offset)
        else:
            _print_vectors(out, each, show_all, here, x86=answer.x86)
    if not answer.devices:
        out.print("No device with MSI-X.")


def _print_heading(out: Console, answer: Vectors, device: MsixDevice, style: str | None = None) -> None:
    from msixtool.words import lspci_lines

    if not answer.in_stream:
        out.print(f"{device.name}  saved state, {device.length} bytes", style="bold")
        out.print(_delivery(device))
        return
    out.print(with_instance(device.name, device.instance), style="bold", end="")
    place = device.offset + answer.origin.base_offset
    out.print(f"  section {device.item.section_id}, {device.length} bytes at {place:#x}", style="dim")
    if device.capability is None:
        out.print(f"MSI-X: Count={device.vectors}, capability not in the stream")
    else:
        for line in lspci_lines(device.capability):
            out.print(line, style=style)
    out.print(_delivery(device), style=style)


def _delivery(device: MsixDevice) -> str:
    """Whether messages can leave the function, in one line."""
    from msixtool.words import number_ranges

    if device.bus_master is None:
        return "bus master: not in the stream"
    text = f"Bus master {'on' if device.bus_master else 'off: no message reaches memory'}"
    if device.function_masked and device.capability is not None:
        text += "; every vector masked: " + (
            "function mask set" if device.capability.enabled else "MSI-X not enabled"
        )
    if device.state.stray_pending:
        text += f"; pending bits beyond the last vector: {number_ranges(device.state.stray_pending)}"
    return text


def _print_vectors(
    out: Console, device: MsixDevice, show_all: bool, changed: set[int | None], *, x86: bool
) -> None:
    from msixtool.cli.output import table
    from msixtool.formats.x86 import x86_message
    from msixtool.words import vector_users

    on_x86 = ("On x86",) if x86 else ()
    rows = table(("Vec", "right"), "Address", "Data", "Mask", "Pending", "Used by", *on_x86)
    serves = vector_users(device.config_vector, device.queue_vectors, "config")
    users = {vector: ", ".join(words) for vector, words in serves.items()}
    for first, last in _runs(device, users, show_all):
        entry = device.state.entries[first]
        if last > first:
            rows.add_row(f"{first}-{last}", "untouched", "", "masked", "", "")
            continue
        control = entry.control >> 1
        rows.add_row(
            str(first),
            f"{entry.address:016x}",
            f"{entry.data:08x}",
            ("masked" if entry.masked else "-") + (f" +{entry.control:#x}" if control else ""),
            "pending" if device.state.is_pending(first) else "-",
            users.get(first, "-"),
            *([x86_message(entry.address, entry.data) if entry.address else "-"] if x86 else []),
            style=_CHANGED if first in changed else _PENDING if device.state.is_pending(first) else None,
        )
    out.print(rows)


def _runs(device: MsixDevice, users: dict[int, str], show_all: bool) -> Iterator[tuple[int, int]]:
    """The vectors as rows: alone, or first and last of a run that nothing has touched."""
    from msixtool.msix.state import MsixEntry

    untouched = [
        entry == MsixEntry() and vector not in users and not device.state.is_pending(vector)
        for vector, entry in enumerate(device.state.entries)
    ]
    vector = 0
    while vector < device.vectors:
        end = vector
        while not show_all and end < device.vectors and untouched[end]:
            end += 1
        if end - vector >= FOLD:
            yield vector, end - 1
            vector = end
        else:
            yield vector, vector
            vector += 1


def _print_hex(out: Console, device: MsixDevice, base_offset: int) -> None:
    """Table and PBA, a line an entry, with what the bytes are."""
    from msixtool.formats.msix import ENTRY_SIZE

    data = device.state.to_vmstate()
    base = device.offset + base_offset
    for vector, entry in enumerate(device.state.entries):
        at = vector * ENTRY_SIZE
        mask = "masked" if entry.masked else "unmasked"
        out.print(f"{base + at:08x}  {data[at : at + ENTRY_SIZE].hex(' ', 4)}  vector {vector}, {mask}")
    start = device.vectors * ENTRY_SIZE
    for at in range(start, len(data), ENTRY_SIZE):
        first = (at - start) * 8
        last = min(first + 8 * ENTRY_SIZE, 8 * (len(data) - start)) - 1
        out.print(
            f"{base + at:08x}  {data[at : at + ENTRY_SIZE].hex(' ', 4):35}  pending bits {first}-{last}"
        )
