"""`msixtool forge`: a new stream like another, but for what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from msixtool.cli import options
from msixtool.cli.completion import complete_files
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from msixtool import Forecast, OpenOptions

SWITCH = click.Choice(["on", "off"])

EXAMPLES = """\b
Examples:
  msixtool forge vm.mig -o new.mig --device e1000e --unmask 0 --pending 3
  msixtool forge vm.mig -o new.mig --spec changes.toml
  msixtool forge vm.mig --device 03.0 --vectors 8 --dry-run
  msixtool forge --new --kind e1000e --unmask 0-4 -o state.bin"""


@click.command(epilog=EXAMPLES, short_help="Write a stream like another but for what you ask.")
@click.argument("base", metavar="[BASE]", required=False, shell_complete=complete_files)
@options.path_option("-o", "--output", metavar="OUT", help="The file to write; - for standard output.")
@options.path_option("--spec", "spec_file", help="Changes in JSON or TOML; - for standard input.")
@options.one_device_option(
    "The device to change: idstr, PCI address (03.0), kind, NAME@INSTANCE, or a glob of one."
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
@options.kind_option("With --new: the kind of device, as e1000e or virtio-net.")
@click.option("--text", is_flag=True, help="With --new: write a SPEC in TOML instead of the raw state.")
@click.option("--like-base", is_flag=True, help="Pack the output as BASE is (compressed, libvirt).")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--force", is_flag=True, help="Write over a file that is there. Never over an input.")
@click.option("--damaged", is_flag=True, help="Take a BASE that is damaged.")
@options.container_options
@options.common_options
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
    **rest: Any,
) -> ExitStatus:
    from msixtool import forecast, forge as ask
    from msixtool.cli.forge_options import spec_of
    from msixtool.cli.progress import progress_bar
    from msixtool.cli.screen import remark
    from msixtool.output.files import refuse_terminal

    where: OpenOptions = {"offset": rest["offset"], "snapshot": rest["snapshot"]}
    spec = spec_of(**rest)
    if dry_run:
        return _show(forecast(base, spec, damaged=damaged, **where))
    assert output is not None
    refuse_terminal(output)
    with progress_bar("forge") as progress:
        forged = ask(
            base,
            spec,
            output,
            force=force,
            like_base=like_base,
            damaged=damaged,
            progress=progress,
            **where,
        )
    for note in forged.notes:
        remark(note)
    for line in forged.loading:
        click.echo(line, err=output == "-")
    return ExitStatus.DONE


def _new(output: str, force: bool, *, kind: str | None, text: bool, **given: Any) -> ExitStatus:
    """Make a saved state from nothing."""
    from msixtool import forge_new
    from msixtool.cli.forge_options import spec_of
    from msixtool.output.files import check_output, refuse_terminal

    check_output(output, force=force)
    spec = spec_of(**given)
    if not text:
        refuse_terminal(output)
    forge_new(spec, output, kind=kind, text=text, force=force)
    return ExitStatus.DONE


def _show(expected: Forecast) -> ExitStatus:
    """What would change, as a diff in words, and how many bytes that comes to."""
    from msixtool.cli.diff_words import device_lines, field_lines
    from msixtool.cli.output import console
    from msixtool.cli.screen import remark

    out = console()
    for line in device_lines(expected.changes, expected.devices):
        out.print(f"{line.name}: {', '.join(line.clauses)}", soft_wrap=True)
    for section, words in field_lines(expected.fields):
        out.print(section or f"  {words}", soft_wrap=True)
    out.print(_summary(expected), style="dim")
    for note in expected.notes:
        remark(note)
    return ExitStatus.DONE


def _summary(expected: Forecast) -> str:
    from msixtool.words import plural

    if not expected.places:
        return "Nothing changes."
    growth = expected.growth
    size = f"; the stream {'grows' if growth > 0 else 'shrinks'} by {abs(growth)}" if growth else ""
    return f"{plural(expected.size, 'byte')} in {plural(expected.places, 'place')}{size}."
