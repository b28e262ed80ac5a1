"""The JSON document of `cmdline`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.documents import Document, source_document

if TYPE_CHECKING:
    from msixtool.dump import Dump
    from msixtool.tasks.cmdline import CommandLine


def cmdline_document(dump: Dump, command: CommandLine) -> Document:
    """`msixtool.cmdline/1`."""
    return {
        "schema": "msixtool.cmdline/1",
        "source": source_document(dump),
        "program": command.program,
        "args": list(command.args),
        "notes": [
            {"option": note.option, "message": note.message, "certain": False} for note in command.notes
        ],
    }
