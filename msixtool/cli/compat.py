"""`msixtool compat`: will that QEMU load this stream, and if not, why not."""

from __future__ import annotations

import click

from msixtool.cli import options
from msixtool.cli.page import Page, html_options
from msixtool.cli.status import ExitStatus

EXAMPLES = """\b
Examples:
  msixtool compat vm.mig target.mig
  msixtool compat vm.mig --qemu "qemu-system-x86_64 -M q35 -device xhci" --try
  msixtool compat saves/ --on qemu-system-x86_64 --try
  msixtool compat vm.mig --to 11.1
  msixtool compat saves/ target.mig
  msixtool compat old.json new.json      (two files of qemu -dump-vmstate)"""


@click.command(epilog=EXAMPLES, short_help="Will the target load it, and why not.")
@click.argument("words", metavar="SOURCE... [TARGET]", nargs=-1, required=True)
@click.option("--target-version", metavar="VERSION", help="The target's QEMU, if its stream leaves it open.")
@click.option(
    "--target-vmstate", metavar="FILE", help="What the target's QEMU wrote with -dump-vmstate: decides more."
)
@click.option("--qemu", metavar="COMMAND", help="Start this QEMU paused as the target, and end it.")
@click.option("--on", metavar="PROGRAM", help="Start this QEMU with the command line that SOURCE needs.")
@click.option("--domain", metavar="FILE.xml", help="libvirt's XML is the target; - for that in a save image.")
@click.option(
    "--try", "try_it", is_flag=True, help="With --qemu, --on or --domain: really load SOURCE as well."
)
@click.option(
    "--to",
    metavar="VERSION",
    help="No target: what is at risk with a QEMU release, or a distribution's (debian-12).",
)
@options.jobs_option
@options.container_options
@options.json_option
@html_options
@options.traceback_option
def compat(
    words: tuple[str, ...],
    target_version: str | None,
    target_vmstate: str | None,
    qemu: str | None,
    on: str | None,
    domain: str | None,
    try_it: bool,
    to: str | None,
    jobs: int | None,
    offset: int,
    snapshot: str | None,
    as_json: bool,
    html: str | None,
    force: bool,
) -> ExitStatus:
    """Predict whether a target loads SOURCE, and every reason why not, in the order QEMU meets them.

    TARGET is a fresh stream of the target's own command line (msixtool capture --run makes one).
    SOURCE may be a folder: then there is a table of one row a stream, or a line of JSON for each.
    What cannot be told from what is given is a warning, `undecided`.
    """
    from msixtool.cli.compat_run import Run

    if try_it and qemu is None and on is None and domain is None:
        raise click.UsageError("--try needs --qemu, --on or --domain: what to try it with.")
    if sum(each is not None for each in (qemu, on, domain, to)) > 1:
        raise click.UsageError("give one of --qemu, --on, --domain and --to, not both.")
    needs_target = all(each is None for each in (qemu, on, domain, to))
    if needs_target and len(words) < 2:
        raise click.UsageError("no target: give a TARGET stream, --qemu, --on, --domain or --to.")
    sources, target = (words[:-1], words[-1]) if needs_target else (words, None)
    run = Run(
        sources,
        target,
        target_version,
        target_vmstate,
        qemu,
        on,
        domain,
        try_it,
        to,
        jobs,
        offset,
        snapshot,
        as_json,
        Page(html, force, inputs=words),
    )
    if qemu is None and on is None and domain is None:
        return run.run()
    from msixtool.cli.signals import end_in_order

    with end_in_order():
        return run.run()
