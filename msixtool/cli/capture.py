"""`msixtool capture`: a stream of a running VM, taken over QMP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from msixtool.cli import living, options
from msixtool.cli.signals import end_in_order
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from msixtool import Capture, CaptureOptions

EXAMPLES = """\b
Examples:
  msixtool capture /run/vm.qmp -o vm.mig
  msixtool capture /run/vm.qmp --devices -o devices.mig
  msixtool capture --domain web1 --devices -o devices.mig
  msixtool capture -o fresh.mig --run -- qemu-system-x86_64 -M q35 -device xhci"""


@click.command(epilog=EXAMPLES, short_help="Take the stream of a running VM.")
@click.argument(
    "words", metavar="SOCKET | --domain NAME | --run -- COMMAND...", nargs=-1, type=click.UNPROCESSED
)
@options.path_option("-o", "--output", required=True, help="The file to write; - for standard output.")
@click.option("--run", "run_command", is_flag=True, help="Start COMMAND paused, capture it, and end it.")
@living.domain_option
@living.connect_option
@click.option("--devices", is_flag=True, help="Device state alone, no RAM: the VM stands for milliseconds.")
@click.option("--mapped-ram", is_flag=True, help="Write RAM at fixed offsets (QEMU 9.0 and later).")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@options.json_option
@options.common_options
@end_in_order()
def capture(
    words: tuple[str, ...],
    output: str,
    run_command: bool,
    domain: str | None,
    connect: str | None,
    force: bool,
    as_json: bool,
    **how: Unpack[CaptureOptions],
) -> ExitStatus:
    """Take the stream of a VM; a VM that runs is stopped for it and runs on afterwards.

    SOCKET is the path of the VM's QMP monitor; --domain goes through libvirt's. A VM that was
    paused stays so. With its RAM it is then in the state that QEMU calls postmigrate: QEMU migrates
    it again only after it has run.
    """
    from msixtool import address_of, capture as ask
    from msixtool.cli.output import print_json
    from msixtool.cli.progress import progress_bar
    from msixtool.cli.screen import remark
    from msixtool.errors import UsageError
    from msixtool.output.files import refuse_terminal

    vm = address_of(words[0] if words and not run_command else None, domain, connect)
    if (not run_command and (vm is None or len(words) > 1)) or (run_command and (vm or not words)):
        raise UsageError(
            "what to capture",
            expected="one SOCKET, --domain NAME, or --run -- COMMAND",
            found=" ".join(words) or "none",
        )
    refuse_terminal(output)
    with progress_bar("capture") as progress:
        how["progress"] = progress
        answer = ask(vm, output, command=words if run_command else (), force=force, **how)
    for note in answer.notes:
        remark(note)
    if as_json and output != "-":
        print_json(answer.document())
    else:
        click.echo(_sentence(answer), err=output == "-")
    return ExitStatus.DONE


def _sentence(answer: Capture) -> str:
    from msixtool.words import byte_size

    captured = answer.vm
    state = "ran before and runs on" if captured.was_running else "was stopped and stays so"
    if answer.fresh:
        state = "was started for it and is ended"
    stood = f", for which it stood {captured.paused_ms:.1f} ms" if captured.paused_ms else ""
    return (
        f"{answer.path}: {byte_size(answer.size)} of {captured.machine}, QEMU {captured.qemu}, "
        f"in {captured.seconds:.1f} s; the VM {state}{stood}"
    )
