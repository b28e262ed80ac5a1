"""`msixtool compat`: will that QEMU load this stream, and if not, why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from msixtool.cli import options
from msixtool.cli.status import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from msixtool.tasks.compat import Comparison
    from msixtool.tasks.finding import Finding


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--target-version", metavar="VERSION", help="The target's QEMU, if its stream leaves it open.")
@options.container_options
@options.json_option
@options.traceback_option
def compat(
    source: str, target: str, target_version: str | None, offset: int, snapshot: str | None, as_json: bool
) -> ExitStatus:
    """Predict whether a target loads SOURCE, and every reason why not."""
    from msixtool.cli.output import console, print_json
    from msixtool.documents import source_document
    from msixtool.documents_compat import compat_document
    from msixtool.dump import Dump
    from msixtool.qemu.versions import parse_version
    from msixtool.tasks.compat import compare

    version = parse_version(target_version) if target_version else None
    with Dump.open(source, offset=offset, snapshot=snapshot) as there, Dump.open(target) as here:
        comparison = compare(there, here, target_version=version)
        if as_json:
            print_json(compat_document(source_document(there), source_document(here), comparison))
        else:
            _print(console(), comparison)
    return ExitStatus.DONE if comparison.compatible else ExitStatus.REPORT


def _print(out: Console, comparison: Comparison) -> None:
    for finding in comparison.findings:
        _print_finding(out, finding)
    if comparison.compatible:
        out.print("compatible: nothing was found that stops the load", style="bold")
    else:
        out.print("incompatible: the load fails", style="bold red")


def _print_finding(out: Console, finding: Finding) -> None:
    out.print(f"{finding.severity.value}  {finding.section or ''}", style="bold")
    out.print(f"  {finding.message}")
    if finding.advice:
        out.print(f"  {finding.advice}", style="dim")
