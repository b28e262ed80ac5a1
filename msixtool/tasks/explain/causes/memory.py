"""RAM blocks that differ."""

from __future__ import annotations

from msixtool.qemu import advice
from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.explanation import Told
from msixtool.tasks.explain.sentences import RAM
from msixtool.tasks.finding import Code
from msixtool.words import byte_size


def block_unknown(case: Case) -> Told:
    """A RAM block that only the source has."""
    block = case.value("block")
    return Told(
        Code.RAM_MISSING,
        f"The source has a RAM block {block}, the target has none of that name."
        if block
        else "The list of RAM blocks holds one without a name: the stream is damaged.",
        RAM,
        case.instance,
        block,
        advice=advice.on_ram(block, Code.RAM_MISSING.value),
    )


def block_size(case: Case) -> Told:
    """A RAM block of another size, or of a size beyond what it can grow to."""
    block, source, target = case.value("block"), case.source, case.target
    at_most = "at most " if case.cause.name == "block-too-large" else ""
    return Told(
        Code.RAM_SIZE,
        f"RAM block {block} is {byte_size(source)} in the source and {at_most}{byte_size(target)} in the"
        " target.",
        RAM,
        case.instance,
        block,
        source=source,
        target=target,
        advice=advice.on_ram(block, Code.RAM_SIZE.value),
    )
