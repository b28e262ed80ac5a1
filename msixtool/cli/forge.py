"""`msixtool forge`: a new stream like another, but for what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from msixtool.cli import options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from msixtool.dump import Dump
    from msixtool.spec.values import Spec
    from msixtool.stream.rewrite import Replacement
    from msixtool.tasks.forge import Plan
    from msixtool.tasks.forge_output import Base

SWITCH = click.Choice(["on", "off"])

EXAMPLES = """\b
Examples:
  msixtool forge vm.mig -o new.mig --device e1000e --unmask 0 --pending 3
  msixtool forge vm.mig -o new.mig --spec changes.toml
  msixtool forge vm.mig --device 03.0 --vectors 8 --dry-run
  msixtool forge --new --kind e1000e --unmask 0-4 -o state.bin"""


@click.command(epilog=EXAMPLES, short_help="Write a stream like another but for what you ask.")
@click.argument("base", metavar="[BASE]", required=False)
@click.option("-o", "--output", metavar="OUT", help="The file to write; - for standard output.")
@click.option("--spec", "spec_file", metavar="FILE", help="Changes in JSON or TOML; - for standard input.")
@click.option(
    "--device",
    "-d",
    metavar="PATTERN",
    help="The device to change: idstr, PCI address (03.0), kind, NAME@INSTANCE, or a glob of one.",
)
@click.option("--unmask", metavar="VECTORS", multiple=True, help="Clear mask bits: 3, 0-4, or 0,2-4.")
@click.option("--mask", metavar="VECTORS", multiple=True, help="Set mask bits.")
@click.option("--pending", metavar="VECTORS", multiple=True, help="Set pending bits.")
@click.option("--clear", metavar="VECTORS", multiple=True, help="Clear pending bits.")
@click.option("--address", metavar="V=ADDR", multiple=True, help="Message address of a vector, 64 bits.")
@click.option("--data", metavar="V=DATA", multiple=True, help="Message data of a vector, 32 bits.")
@click.option("--control", metavar="V=WORD", multiple=True, help="Whole Vector Control word of a vector.")
@click.option("--pba", metavar="HEX", help="Every byte of the PBA, bits beyond the last vector too.")
@click.option("--enable", type=SWITCH, help="MSI-X enable.")
@click.option("--function-mask", type=SWITCH, help="Function mask.")
@click.option("--bus-master", type=SWITCH, help="Bus mastering, in the PCI Command register.")
@click.option("--vectors", type=int, metavar="N", help="Number of vectors: capability, PBA, vmdesc follow.")
@click.option("--config-vector", metavar="V", help="virtio: the vector of configuration changes, or none.")
@click.option("--queue-vector", metavar="Q=V", multiple=True, help="virtio: the vector of a queue, or none.")
@click.option(
    "--field", "fields", metavar="PATH=VALUE", multiple=True, help="Any vmstate field: SECTION/PATH=VALUE."
)
@click.option(
    "--raise",
    "raised",
    metavar="DEVICE:VECTOR",
    multiple=True,
    help="Put an interrupt on its way: the request bit of its CPU's APIC.",
)
@click.option("--new", is_flag=True, help="Make a saved state from nothing, as after a reset.")
@click.option("--kind", metavar="KIND", help="With --new: the kind of device, as e1000e or virtio-net.")
@click.option("--text", is_flag=True, help="With --new: write a SPEC in TOML instead of the raw state.")
@click.option("--like-base", is_flag=True, help="Pack the output as BASE is (compressed, libvirt).")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--force", is_flag=True, help="Write over a file that is there. Never over an input.")
@click.option("--damaged", is_flag=True, help="Take a BASE that is damaged.")
@options.container_options
@options.traceback_option
@end_in_order()
def forge(
    base: str | None, output: str | None, new: bool, force: bool, dry_run: bool, **rest: Any
) -> ExitStatus:
    """Write a stream like BASE but for what is asked; every other byte is copied.

    Changes come from options, for the one device that --device names, or from --spec for many.
    Numbers may be hex (0x41). The result is a bare stream, whatever BASE is packed in.
    """
    from msixtool.cli.forge_options import check_use

    check_use(base, output, new=new, dry_run=dry_run, **rest)
    if new:
        assert output is not None
        return _new(output, force, **rest)
    assert base is not None
    return _forge(base, output, force, dry_run, **rest)


def _forge(
    base: str,
    output: str | None,
    force: bool,
    dry_run: bool,
    *,
    like_base: bool,
    damaged: bool,
    offset: int,
    snapshot: str | None,
    **rest: Any,
) -> ExitStatus:
    from msixtool.cli.forge_options import spec_of
    from msixtool.cli.output import warn
    from msixtool.cli.progress import progress_bar
    from msixtool.output.files import check_output, refuse_terminal
    from msixtool.tasks.forge import plan
    from msixtool.tasks.forge_output import inputs_of, open_base, write_forged

    spec = spec_of(**rest)
    inputs = inputs_of(base, spec)
    if output is not None and not dry_run:
        check_output(output, force=force, inputs=inputs)
        refuse_terminal(output)
    with (
        progress_bar("forge") as progress,
        open_base(base, offset=offset, snapshot=snapshot, damaged=damaged, progress=progress) as opened,
    ):
        planned = plan(opened.dump, spec)
        if dry_run:
            return _show(opened, planned, spec)
        assert output is not None
        forged = write_forged(
            opened, planned, output, force=force, like_base=like_base, inputs=inputs, progress=progress
        )
    for note in forged.notes:
        warn(note)
    for line in forged.loading:
        click.echo(line, err=output == "-")
    return ExitStatus.DONE


def _new(output: str, force: bool, *, kind: str | None, text: bool, **given: Any) -> ExitStatus:
    """Make a saved state from nothing."""
    from dataclasses import replace

    from msixtool.cli.forge_options import spec_of
    from msixtool.errors import UsageError
    from msixtool.output.files import check_output, refuse_terminal, write_file
    from msixtool.spec import DeviceSpec, new_state, spec_text
    from msixtool.spec.saved import NAMELESS, device_of
    from msixtool.tasks.forge_new import vector_count

    check_output(output, force=force)
    spec = spec_of(**given)
    if len(spec.devices) > 1 or spec.fields:
        raise UsageError("--new makes the state of one device", path=spec.path, expected="one device")
    asked = spec.devices[0] if spec.devices else DeviceSpec(kind or NAMELESS)
    count = vector_count(kind, asked.vectors)
    state = new_state(replace(asked, vectors=count))
    if text:
        data = spec_text(device_of(state, kind or NAMELESS)).encode()
    else:
        refuse_terminal(output)
        data = state.to_vmstate()
    write_file(output, data, force=force, inputs=[spec.path] if spec.path else [])
    return ExitStatus.DONE


def _show(base: Base, planned: Plan, spec: Spec) -> ExitStatus:
    """What would change, as a diff in words, and how many bytes that comes to."""
    from msixtool.cli.output import console, warn
    from msixtool.tasks.forge_output import forged_dump

    out = console()
    for line in _changes(base.dump, forged_dump(base, planned), with_fields=bool(spec.fields or spec.raised)):
        out.print(line, soft_wrap=True)
    out.print(_summary(planned.replacements), style="dim")
    for note in planned.notes:
        warn(note)
    return ExitStatus.DONE


def _changes(before: Dump, after: Dump, *, with_fields: bool) -> Iterator[str]:
    from msixtool.cli.diff_words import device_lines, field_lines
    from msixtool.tasks.diff import diff_devices, side_of
    from msixtool.tasks.diff_fields import diff_fields

    a, b = ([side_of(device) for device in dump.devices] for dump in (before, after))
    for line in device_lines(diff_devices(a, b), [*a, *b]):
        yield f"{line.name}: {', '.join(line.clauses)}"
    if with_fields:
        keys = {(side.name, side.instance) for side in a}
        for section, words in field_lines(diff_fields(before, after, by_vector=keys).changes):
            yield section or f"  {words}"


def _summary(replacements: Sequence[Replacement]) -> str:
    from msixtool.words import plural

    changed = sum(max(each.end - each.start, len(each.data)) for each in replacements)
    growth = sum(len(each.data) - (each.end - each.start) for each in replacements)
    if not replacements:
        return "Nothing changes."
    size = f"; the stream {'grows' if growth > 0 else 'shrinks'} by {abs(growth)}" if growth else ""
    return f"{plural(changed, 'byte')} in {plural(len(replacements), 'place')}{size}."
