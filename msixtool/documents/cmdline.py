"""The JSON document of `cmdline`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.documents import Document, Origin

if TYPE_CHECKING:
    from msixtool.tasks.cmdline import CommandLine


def cmdline_document(origin: Origin, command: CommandLine) -> Document:
    """`msixtool.cmdline/1`."""
    return {
        "schema": "msixtool.cmdline/1",
        "source": origin.document(),
        "program": command.program,
        "args": list(command.args),
        "notes": [
            {"option": note.option, "message": note.message, "certain": False} for note in command.notes
        ],
    }
