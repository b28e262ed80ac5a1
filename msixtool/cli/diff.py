"""`msixtool diff`: what differs between two streams, SPECs or saved states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from msixtool.cli import options
from msixtool.cli.page import Page, html_options
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from rich.console import Console

    from msixtool.cli.diff_words import Line
    from msixtool.dump import Dump
    from msixtool.tasks.diff import Change, Side
    from msixtool.tasks.diff_fields import FieldChange
    from msixtool.tasks.diff_sides import Operand
    from msixtool.tasks.ram_digest import RamChange

_STYLES = {"added": "green", "removed": "red", "changed": ""}


@click.command(short_help="What differs, by device and vector.")
@click.argument("a")
@click.argument("b")
@options.device_option
@click.option("--loaded", is_flag=True, help="Compare the states as they are after the load path.")
@click.option("--fields", is_flag=True, help="Every vmstate field of every section too, and RAM by digest.")
@click.option("--moving", is_flag=True, help="With --fields: fields that always move count too.")
@click.option("--no-ram", is_flag=True, help="With --fields: leave RAM alone, which takes time to read.")
@click.option(
    "--vectors",
    type=click.IntRange(1, 2048),
    metavar="N",
    help="Vectors of a saved state [what its size says].",
)
@click.option("--kind", metavar="KIND", help="The kind of device that a saved state is of, such as e1000e.")
@click.option(
    "--snapshot", multiple=True, metavar="NAME", help="Internal snapshot of a qcow2 image: A's; again: B's."
)
@click.option(
    "--offset",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Leading bytes to skip: A's; again: B's.",
)
@options.max_ratio_option
@options.json_option
@html_options
@options.traceback_option
def diff(
    a: str,
    b: str,
    device: str | None,
    loaded: bool,
    fields: bool,
    moving: bool,
    no_ram: bool,
    vectors: int | None,
    kind: str | None,
    snapshot: tuple[str, ...],
    offset: tuple[int, ...],
    as_json: bool,
    html: str | None,
    force: bool,
) -> ExitStatus:
    """Compare the devices with MSI-X of A and B, field by field and vector by vector.

    A and B are streams, SPECs, or states that `save` wrote, in any pairing. Devices are matched by
    name and instance. The status is 0 where nothing differs and 1 where something does.
    """
    from contextlib import ExitStack

    from msixtool.errors import UsageError
    from msixtool.tasks.diff import diff_devices
    from msixtool.tasks.diff_sides import after_load, sides_of

    if (moving or no_ram) and not fields:
        raise UsageError("--moving and --no-ram", expected="--fields with them")
    if a == b == "-":
        raise UsageError("only one of A and B can be standard input")
    if len(snapshot) > 2 or len(offset) > 2:
        raise UsageError("--snapshot and --offset", expected="each twice at most: for A, then for B")
    page = Page(html, force, inputs=[a, b])
    snapshots, offsets = [*snapshot, None, None], [*offset, 0, 0]
    with ExitStack() as stack:
        operands = [
            _operand(stack, file, vectors, snapshots[side], offsets[side]) for side, file in enumerate((a, b))
        ]
        if fields and not all(operand.dump for operand in operands):
            found = " and ".join(f"a {operand.kind}" for operand in operands)
            raise UsageError("--fields", expected="two streams", found=found)
        sides = sides_of(operands[0], operands[1], device=device, kind=kind)
        if loaded:
            sides = [after_load(side) for side in sides[0]], [after_load(side) for side in sides[1]]
        result = _Result(operands, sides, diff_devices(*sides))
        if fields:
            result.compare_fields(device, moving=moving, ram=not no_ram and device is None)
        if as_json:
            from msixtool.cli.output import print_json

            print_json(result.document())
        else:
            from msixtool.cli.output import console

            result.print(console())
        if page.is_asked:
            from msixtool.pages import diff_page

            page.write(diff_page(result.document()))
        return result.status()


def _operand(stack: ExitStack, file: str, vectors: int | None, snapshot: str | None, offset: int) -> Operand:
    """Open an input, whatever it is: a stream if it is one, else a SPEC if it is text, else a saved state."""
    from msixtool.containers.file import read_whole
    from msixtool.dump import Dump
    from msixtool.errors import NotAStreamError
    from msixtool.formats.msix import MAX_VECTORS, vmstate_size
    from msixtool.spec.read import MAX_SIZE, parse_spec
    from msixtool.spec.saved import read_saved
    from msixtool.tasks.diff_sides import Operand

    try:
        return Operand(file, dump=stack.enter_context(Dump.open(file, offset=offset, snapshot=snapshot)))
    except NotAStreamError:
        if file == "-" or offset or snapshot:
            raise
        data = read_whole(file, MAX_SIZE)
        if b"devices" in data and b"\0" not in data:
            return Operand(file, len(data), spec=parse_spec(data, path=file))
        if len(data) > vmstate_size(MAX_VECTORS):
            raise
    state = read_saved(file)[0].state
    if vectors not in (None, state.vectors):
        raise NotAStreamError(
            "saved state", path=file, expected=f"{vectors} vectors", found=f"{state.vectors} by its size"
        )
    return Operand(file, len(data), state=state)


class _Result:
    """What was found, and how it is told."""

    def __init__(
        self, operands: Sequence[Operand], sides: tuple[list[Side], list[Side]], changes: list[Change]
    ) -> None:
        self.a, self.b = operands
        self.sides = sides
        self.changes = changes
        self.fields: list[FieldChange] | None = None
        self.moving: list[FieldChange] = []
        self.ram: list[RamChange] | None = None
        self.undecoded = False
        self.damage = [(dump.path, str(damage)) for dump in self._dumps() for damage in dump.damage]

    def _dumps(self) -> list[Dump]:
        return [operand.dump for operand in (self.a, self.b) if operand.dump is not None]

    def compare_fields(self, device: str | None, *, moving: bool, ram: bool) -> None:
        """Compare all fields, and RAM too with `ram`; `moving` ones count with `moving`."""
        from msixtool.tasks.diff_fields import diff_fields
        from msixtool.tasks.ram_digest import diff_ram, digest_ram

        a, b = self._dumps()
        keys = [{(side.name, side.instance) for side in sides} for sides in self.sides]
        found = diff_fields(a, b, by_vector=keys[0] & keys[1], pattern=device)
        self.fields = [change for change in found.changes if moving or not change.moving]
        self.moving = [change for change in found.changes if change.moving and not moving]
        self.undecoded = bool(found.damage)
        self.damage += [("", str(damage)) for damage in found.damage]
        if ram:
            digests = [digest_ram(dump) for dump in (a, b)]
            self.ram = diff_ram(digests[0][0], digests[1][0])
            for dump, (_, broken) in zip((a, b), digests, strict=True):
                self.damage += [(dump.path, str(damage)) for damage in broken]
        for dump in (a, b):
            dump.check_unchanged()

    @property
    def equal(self) -> bool:
        return not (self.changes or self.fields or self.ram or self.undecoded)

    def status(self) -> ExitStatus:
        """Name what is damaged on standard error; the status that follows from everything."""
        from msixtool.cli.output import warn

        for path, damage in self.damage[:20]:
            warn(f"{path}: damaged: {damage}" if path else f"damaged: {damage}")
        if self.damage:
            return ExitStatus.USAGE
        return ExitStatus.DONE if self.equal else ExitStatus.REPORT

    def document(self) -> dict[str, object]:
        """The document of the contract."""
        from msixtool.documents.diff import diff_document

        return diff_document(
            self.a,
            self.b,
            self.changes,
            equal=self.equal,
            damage=[f"{path}: {damage}" if path else damage for path, damage in self.damage],
            fields=self.fields,
            moving=self.moving,
            ram=self.ram,
        )

    def print(self, out: Console) -> None:
        """Everything in words."""
        from rich.text import Text

        from msixtool.cli.diff_words import device_lines, field_lines, ram_line
        from msixtool.words import plural

        for line in device_lines(self.changes, [*self.sides[0], *self.sides[1]]):
            _print_device(out, line)
        for section, words in field_lines(self.fields or []):
            if section:
                out.print(Text(section, "bold"), soft_wrap=True)
            else:
                _print_wrapped(out, words, 2)
        if self.ram:
            out.print("RAM", style="bold")
        for change in self.ram or []:
            _print_wrapped(out, ram_line(change), 2)
        if self.moving:
            count = plural(len(self.moving), "field")
            out.print(
                f"{count} that always move{'s' * (len(self.moving) == 1)} left out (--moving)", style="dim"
            )
        if self.equal:
            count = plural(len(self.sides[0]), "device")
            out.print(f"No difference in {count} with MSI-X{self._compared_too()}.")

    def _compared_too(self) -> str:
        if self.fields is None:
            return ""
        return " and all fields" if self.ram is None else ", all fields and RAM"


def _print_device(out: Console, line: Line) -> None:
    """One device: in one line where it fits, else each difference in a line of its own."""
    from rich.text import Text

    style = _STYLES[line.tone]
    clauses = line.clauses if line.tone == "changed" else [line.tone, *line.clauses]
    text = ", ".join(clauses)
    if len(line.name) + 2 + len(text) <= out.width:
        out.print(Text.assemble((line.name, "bold"), ": ", (text, style)), soft_wrap=True)
        return
    out.print(Text.assemble((line.name, "bold"), ":"), soft_wrap=True)
    for clause in clauses:
        _print_wrapped(out, clause, 2, style)


def _print_wrapped(out: Console, text: str, indent: int, style: str = "") -> None:
    """Text broken at blanks, its continuation indented further."""
    import textwrap

    from rich.text import Text

    pad = " " * indent
    lines = textwrap.wrap(
        text, out.width, initial_indent=pad, subsequent_indent=f"{pad}  ", break_on_hyphens=False
    )
    for line in lines:
        out.print(Text(line, style), soft_wrap=True)
