"""Options and arguments that several commands share, each defined once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from msixtool.cli import screen
from msixtool.cli.completion import complete_devices, complete_files, complete_kinds

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def chain(*decorators: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Several options as one decorator, in the order of `--help`."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def path_option(
    *names: str, help: str, metavar: str = "FILE", **more: Any
) -> Callable[[Decorated], Decorated]:
    """An option that takes a file, which a shell completes."""
    return click.option(*names, metavar=metavar, help=help, shell_complete=complete_files, **more)


def kind_option(help: str) -> Callable[[Decorated], Decorated]:
    """The kind of a device that does not say it itself."""
    return click.option("--kind", metavar="KIND", help=help, shell_complete=complete_kinds)


def one_device_option(help: str) -> Callable[[Decorated], Decorated]:
    """The one device that something is done with."""
    return click.option("--device", "-d", metavar="PATTERN", help=help, shell_complete=complete_devices)


files_argument = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files
)

jobs_option = click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that work on several files [one for each core].",
)

file_argument = click.argument("file", metavar="FILE", shell_complete=complete_files)

files_or_vm_argument = click.argument("files", metavar="FILE...", nargs=-1, shell_complete=complete_files)

file_or_vm_argument = click.argument("file", metavar="FILE", required=False, shell_complete=complete_files)


def _for_programs(_: click.Context, __: click.Parameter, wanted: bool) -> bool:
    return wanted or screen.asked.format != "table"


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_for_programs, help="Print JSON for programs."
)


def _on_screen(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that notes what is asked of the screen."""

    def note(_: click.Context, __: click.Parameter, value: Any) -> None:
        if value:
            setattr(screen.asked, name, False if name == "pager" else value)

    return note


format_option = click.option(
    "--format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    expose_value=False,
    is_eager=True,
    callback=_on_screen("format"),
    help="json is --json; csv has a row for each stream, finding or interrupt.",
)


only_option = click.option(
    "--only",
    type=click.Choice(["failing", "damaged"]),
    expose_value=False,
    callback=_on_screen("only"),
    help="Of several streams: only those that fail the question, or are damaged.",
)


def _alternatives(_: click.Context, __: click.Parameter, patterns: tuple[str, ...]) -> str | None:
    """Several patterns as one, of which any may match; None for none."""
    if not patterns:
        return None
    from msixtool import ALTERNATIVE

    return ALTERNATIVE.join(patterns)


def _device_option(what: str) -> Callable[[Decorated], Decorated]:
    return click.option(
        "--device",
        "-d",
        metavar="PATTERN",
        multiple=True,
        callback=_alternatives,
        shell_complete=complete_devices,
        help=f"Only these {what}: idstr, PCI address (03.0), kind, NAME@INSTANCE, or a glob of one."
        " May be given again.",
    )


device_option = _device_option("devices")
section_option = _device_option("sections")


saved_kind_option = kind_option("Of a raw vmstate that `save` wrote: the kind of device, as e1000e.")


_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def time_option(
    name: str, help: str, *, least: float, most: float = 86400.0
) -> Callable[[Decorated], Decorated]:
    """An option that takes a time as people write it: 2s, 500ms, 1m, or seconds. Its value is in seconds."""

    def seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
        if value is None:
            return None
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|)", value.strip())
        if found is None:
            raise click.BadParameter(f"{value!r} is no time: 2s, 500ms, 1m.")
        taken = float(found[1]) * _UNITS[found[2]]
        if not least <= taken <= most:
            raise click.BadParameter(f"{value!r} is not from {least:g} s to {most:g} s.")
        return taken

    return click.option(name, metavar="TIME", callback=seconds, help=help)


def is_folder(file: str) -> bool:
    """Whether an argument is a folder, to be walked."""
    return file != "-" and os.path.isdir(file)


def are_many(files: Sequence[str]) -> bool:
    """Whether there is more than one file to be answered, or may be. Raises UsageError for --only of one."""
    many = len(files) > 1 or is_folder(files[0])
    if screen.asked.only is not None and not many:
        raise click.UsageError("--only chooses among several streams: give a folder, or more than one FILE")
    return many


def _believe(ctx: click.Context, _: click.Parameter, ratio: float | None) -> None:
    if ratio is not None:
        from msixtool import believed_ratio

        token = believed_ratio.set(ratio or None)
        ctx.call_on_close(lambda: believed_ratio.reset(token))


max_ratio_option = click.option(
    "--max-ratio",
    type=click.FloatRange(min=0),
    metavar="N",
    expose_value=False,
    callback=_believe,
    help="Bytes that a compressed byte may unpack to [1000]; 0 for no bound.",
)

container_options = chain(
    click.option(
        "--offset", type=click.IntRange(min=0), metavar="N", default=0, help="Skip this many leading bytes."
    ),
    click.option("--snapshot", metavar="NAME", help="Internal snapshot of a qcow2 image [the newest]."),
    max_ratio_option,
)


def _if_wanted(act: Callable[[], None]) -> Callable[[click.Context, click.Parameter, bool], None]:
    """A callback of a switch."""
    return lambda _, __, wanted: act() if wanted else None


_color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    expose_value=False,
    callback=_on_screen("color"),
    help="Colour [auto: on a terminal]; NO_COLOR and CLICOLOR_FORCE are obeyed.",
)
_quiet_option = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    expose_value=False,
    callback=_if_wanted(screen.be_quiet),
    help="Print errors and damage alone: the status is the answer.",
)
_pager_option = click.option(
    "--no-pager",
    is_flag=True,
    expose_value=False,
    callback=_on_screen("pager"),
    help="No pager for what is longer than the terminal.",
)
_traceback_option = click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show a Python traceback with an error."
)


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


help_option = click.option(
    "--help",
    "-h",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_help,
    help="Show this message and exit.",
)
"""As click's own, which reads the catalogues of translations for its one sentence, at each start."""


_verbose_option = click.option(
    "--verbose",
    "-v",
    is_flag=True,
    expose_value=False,
    callback=_if_wanted(screen.be_verbose),
    help="Say how inputs are read.",
)

common_options = chain(
    _color_option, _quiet_option, _verbose_option, _pager_option, _traceback_option, help_option
)
"""The options of every command, about its screen."""
