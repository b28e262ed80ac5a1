"""The command line: a thin client of the library.

One file a command. What is slow to import (construct, rich) is imported inside the commands,
so that `--version` and `--help` are quick.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from msixtool.cli import completion
from msixtool.cli.guard import escaped, guarded
from msixtool.cli.options import help_option
from msixtool.cli.screen import asked, say
from msixtool.cli.status import ExitStatus
from msixtool.errors import MsixtoolError, visible

COMMANDS = (
    "inspect",
    "show",
    "fields",
    "save",
    "load",
    "replay",
    "validate",
    "diff",
    "forge",
    "compat",
    "explain",
    "trace",
    "cmdline",
    "capture",
)
"""In the order of `--help`; each is the command of that name in msixtool.cli.NAME."""

TRACEBACK = "--traceback"
_COMPLETE = "_MSIXTOOL_COMPLETE"
"""By this variable a shell asks for what completes a word."""

_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class _Ended(BaseException):
    """A signal has ended the command; its number, where it is not SIGINT."""


class _NoCommand(click.UsageError):
    """Nothing was asked for: the help is the answer, on standard error."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__(ctx.get_help(), ctx)


class _LazyGroup(click.Group):
    """Imports a command's module when the command is looked up."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # click's own answer goes to standard output with status 0 until 8.1, and is an exception since 8.2.
        if not args and not ctx.resilient_parsing:
            raise _NoCommand(ctx)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Ended(*error.args) from None  # click would answer it with an empty line

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in COMMANDS and not word.startswith("-"):
            raise click.UsageError(_no_command(word), ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"msixtool.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from msixtool.cli.version import version_text

        click.echo(version_text())
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": []},  # options.help_option stands for it
    epilog=ExitStatus.help_text(),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and those of Python and of what msixtool uses.",
)
@click.option(TRACEBACK, is_flag=True, help="Show a Python traceback with an error.")
@help_option
def cli(traceback: bool) -> None:
    """Read, forge and compare QEMU migration streams, centred on MSI-X device state.

    FILE is a path, or - for standard input. Containers (xz, libvirt save images, qcow2
    snapshots, …) are recognised by what is in them.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Errors become one line on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _bear_any_text()
    with guarded(), _screened():
        return _run(words)


@contextmanager
def _screened() -> Iterator[None]:
    """A run on standard output, which is guarded: options are forgotten behind it, a pager is waited for."""
    asked.forget()
    out: Any = sys.stdout
    terminal = out.below
    paged = None
    if terminal.isatty():
        from msixtool.cli.pager import Paged

        out.below = paged = Paged(terminal)
        asked.beside = paged.error
    if sys.stderr.isatty():
        from msixtool import bars
        from msixtool.cli.progress import progress_bar

        bars.set(progress_bar)
    try:
        yield
    finally:
        if asked.verbose:
            from msixtool import told

            told.set(None)
        if paged is not None:
            out.below, asked.beside = terminal, None
            paged.close()


def _run(words: list[str]) -> int:
    try:
        status = _invoke(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _silence_stdout()
        return ExitStatus.DONE
    except (_Ended, KeyboardInterrupt) as error:
        _silence_stdout()
        return _ended(*error.args)
    except OSError as error:
        return _complain(_refused(error), words)


def _bear_any_text() -> None:
    """Escape what standard output cannot encode: a file's name that is no text, a terminal without UTF-8."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _invoke(words: list[str]) -> int:
    if _COMPLETE in os.environ:
        completion.join_at_colons()
    try:
        status = cli.main(args=words, prog_name="msixtool", standalone_mode=False)
        return int(status or ExitStatus.DONE)
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit:
        # click's own answer to a pipe that nobody reads any more.
        raise BrokenPipeError from None
    except click.Abort:
        raise KeyboardInterrupt from None
    except _NoCommand as error:
        print(error.format_message(), file=sys.stderr)
        return ExitStatus.USAGE
    except click.ClickException as error:
        return _complain(_usage_line(error), words)
    except MsixtoolError as error:
        return _complain(str(error), words)
    except OSError:
        raise
    except Exception as error:
        return _defect(error, words)


def _no_command(word: str) -> str:
    """What is said of a word that is no command: which was meant, if one is like it."""
    from difflib import get_close_matches

    message = f"No such command {word!r}."
    if like := get_close_matches(word, COMMANDS):
        return f"{message} {_meant(like)}"
    if os.path.exists(word):
        return f"{message} {_meant([f'msixtool inspect {word}'])}"
    return message


def _meant(words: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(map(repr, words))}?"


def _usage_line(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):  # click's own words for it vary with its version
        message = f"No such option {error.option_name!r}."
        if error.possibilities:
            message = f"{message} {_meant(error.possibilities)}"
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message.rstrip('.')} (see '{context.command_path} --help')"


def _complain(message: str, words: list[str]) -> int:
    """Report a wrong use or a bad input."""
    _print_traceback(words)
    _say(visible(message))
    return ExitStatus.USAGE


def _refused(error: OSError) -> str:
    """What the system refuses; only standard output is written to without a name."""
    is_output = not _silence_stdout() or error.errno in _OF_WRITING
    if is_output and not error.filename:
        return f"standard output: cannot be written: found {error.strerror}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _ended(number: int = 2) -> int:
    """Report a signal; the status that shells give to what one has ended."""
    import signal

    _say(f"ended by {signal.Signals(number).name}")
    return 128 + number


def _say(line: str) -> None:
    """One line on standard error, where that can be written."""
    with suppress(OSError):
        say(f"msixtool: {line}")


def _defect(error: Exception, words: list[str]) -> int:
    """Report an exception that nothing expected."""
    _print_traceback(words)
    text = visible(f"{type(error).__name__}: {error}")
    _say(f"defect: {text} (please report it, with --traceback)")
    return ExitStatus.DEFECT


def _print_traceback(words: list[str]) -> None:
    if TRACEBACK in words:
        import traceback

        sys.stderr.write(escaped(traceback.format_exc()))


def _silence_stdout() -> bool:
    """Keep the interpreter from complaining about output that cannot be written: whether it could be."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
