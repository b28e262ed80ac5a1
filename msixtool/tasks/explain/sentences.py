"""What the causes mean that need no looking up: a sentence each, with the values of the message in it.

In the texts stand the groups of the wording, and `it` for the section that the failure names.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.qemu.refusals import WHOLE
from msixtool.tasks.finding import Code

CONFIGURATION = "configuration"
RAM = "ram"

SOURCE_STOPPED = f"See the source's log of that time for why it stopped sending. {WHOLE}"
_ONE_TARGET_SINCE = "Load it in a QEMU at least as new as the one that saved it"


@dataclass(frozen=True, slots=True)
class Sentence:
    """`section` is given where the message names none and it is always the same."""

    code: Code
    message: str
    advice: str | None = None
    section: str | None = None
    field: str | None = None


SENTENCES: dict[str, Sentence] = {
    # The header and the configuration section: what else is refused of it is in qemu/refusals.py
    "version-2": Sentence(
        Code.STREAM,
        "The stream is of format version 2, which QEMU stopped writing in 2009 and no longer reads.",
    ),
    "version": Sentence(
        Code.STREAM,
        "The stream is of a format version that QEMU does not read: it reads version 3 alone.",
        "See where the file comes from: no QEMU writes such a version.",
        field="version",
    ),
    "uuid-unset": Sentence(
        Code.UUID,
        "A warning: the source has UUID {source}, the target was started without one. The load goes on.",
        "Start the target with -uuid {source}.",
        CONFIGURATION,
        "uuid",
    ),
    # Sections
    "section-type": Sentence(
        Code.STREAM,
        "Where the next section should begin QEMU found a byte of value {source}: it read past or short of"
        " the section before, or the stream is damaged.",
        "Run msixtool validate on the stream; where it is whole, compare it with a fresh one of the target:"
        " msixtool compat.",
    ),
    "section-id-unknown": Sentence(
        Code.STREAM,
        "A part of section {id} came, but no section with this number had begun.",
        WHOLE,
    ),
    "footer-unreadable": Sentence(
        Code.STREAM,
        "The stream ends where the footer of {it} should stand: the source stopped sending, or its file is"
        " cut.",
        SOURCE_STOPPED,
    ),
    "id-unreadable": Sentence(
        Code.STREAM,
        "The stream ends, or is damaged, in the header of section {id}: as a rule the source stopped"
        " sending, or"
        " its file is cut.",
        SOURCE_STOPPED,
    ),
    "read-error": Sentence(Code.STREAM, "The stream ends in the header of a section.", SOURCE_STOPPED),
    "vmdesc-missing": Sentence(
        Code.STREAM,
        "A warning: the stream ends without the description of its sections (vmdesc). QEMU does not use it;"
        " the load goes on.",
    ),
    "must-exist": Sentence(
        Code.FIELD_MISMATCH, "The target does not accept the stream's {vmsd}/{field}.", field="{field}"
    ),
    "null-marker": Sentence(
        Code.SECTION_LAYOUT,
        "{it} holds fewer or more elements in the stream than in the target: where it has none, the stream"
        " has one.",
    ),
    # Commands, postcopy, multifd
    "command-unknown": Sentence(
        Code.STREAM,
        "The stream holds command {source}, which the target does not take.",
        f"{_ONE_TARGET_SINCE}.",
        field="command",
    ),
    "command-length": Sentence(
        Code.STREAM,
        "The stream's command {field} is {source} bytes long instead of {target}.",
        field="{field}",
    ),
    "ping": Sentence(
        Code.STREAM,
        "The stream asks for an answer on the return path, but came over a transport that has none.",
        "Load it from the socket it was meant for, or turn return-path off on the source before saving to a"
        " file.",
    ),
    "postcopy-state": Sentence(
        Code.STREAM,
        "The stream holds the command {field} at a moment when it makes no sense.",
        WHOLE,
        field="{field}",
    ),
    "postcopy-pages": Sentence(
        Code.PAGE_SIZE,
        "Postcopy needs the same page sizes on both sides: {source:#x} in the source, {target:#x} in the"
        " target.",
        "Use the same huge pages for the guest's memory on both hosts.",
        RAM,
    ),
    "postcopy-advise": Sentence(
        Code.CAPABILITY,
        "The postcopy-ram capability is not the same on both sides: it is {target} in the target.",
        "Turn postcopy-ram on for both sides or for neither.",
        field="postcopy-ram",
    ),
    "colo": Sentence(
        Code.CAPABILITY,
        "The stream wants COLO, and the x-colo capability is off in the target.",
        "Turn x-colo on on the target, or off on the source.",
        field="x-colo",
    ),
    "multifd-version": Sentence(
        Code.STREAM,
        "A multifd channel speaks version {source}, the target version {target}.",
        field="multifd",
    ),
    "multifd-uuid": Sentence(
        Code.STREAM,
        "A multifd channel belongs to another migration: that of the VM with UUID {source}.",
        "Give each migration a port of its own.",
        field="multifd",
    ),
    "multifd-channels": Sentence(
        Code.CAPABILITY,
        "The source opened multifd channel {source}, the target expects {target} channels.",
        "Set multifd-channels to the same number on both sides.",
        field="multifd-channels",
    ),
    "multifd-flags": Sentence(
        Code.CAPABILITY,
        "The source compresses its multifd channels in another way than the target expects.",
        "Set multifd-compression to the same method on both sides.",
        field="multifd-compression",
    ),
    "multifd-pages": Sentence(
        Code.STREAM,
        "The source's multifd packets hold another number of pages than the target expects: the releases do"
        " not go together.",
        field="multifd",
    ),
    # Dirty bitmaps
    "bitmap-node": Sentence(
        Code.OTHER,
        "The stream holds a dirty bitmap of the block node {node}, and the target has no node of this name.",
        "Give the target's disk the node-name of the source's, map the names with block-bitmap-mapping, or"
        " turn dirty-bitmaps off on the source.",
        "dirty-bitmap",
        "{node}",
    ),
    "bitmap-exists": Sentence(
        Code.OTHER,
        "The target's disk already has a dirty bitmap of the name {field}.",
        "Remove it on the target (block-dirty-bitmap-remove).",
        "dirty-bitmap",
        "{field}",
    ),
    "bitmap-granularity": Sentence(
        Code.FIELD_MISMATCH,
        "The dirty bitmap {field} has another granularity on the target.",
        "Remove it on the target (block-dirty-bitmap-remove).",
        "dirty-bitmap",
        "{field}",
    ),
    # RAM
    "block-page-size": Sentence(
        Code.PAGE_SIZE,
        "RAM block {block} has pages of {source} bytes in the source and of {target} in the target.",
        "Use the same huge pages for the guest's memory on both hosts.",
        RAM,
        "{block}",
    ),
    "block-not-migratable": Sentence(
        Code.OTHER,
        "The stream holds RAM block {block}, which the target does not migrate.",
        None,
        RAM,
        "{block}",
    ),
    "block-lost": Sentence(
        Code.STREAM, "A page of RAM block {block} came, and there is no such block.", WHOLE, RAM, "{block}"
    ),
    "block-first": Sentence(
        Code.STREAM, "A page of the same RAM block as before came first of all.", WHOLE, RAM
    ),
    "page-outside": Sentence(
        Code.STREAM, "A page at {source:#x} came, which is beyond the end of its RAM block.", WHOLE, RAM
    ),
    "zero-page": Sentence(
        Code.STREAM,
        "A page is said to be filled with one byte of value {source}: QEMU since 8.2 takes this for zero"
        " alone.",
        WHOLE,
        RAM,
    ),
    "ram-flags": Sentence(
        Code.STREAM,
        "Where the next page should begin QEMU found the flags {source:#x}: the stream is damaged, ends"
        " here, or was saved with a capability that the target lacks (0x100 is compress, removed in 9.1).",
        None,
        RAM,
    ),
    "ram-cut": Sentence(Code.STREAM, "The stream ends among the pages of RAM.", SOURCE_STOPPED, RAM),
    "xbzrle": Sentence(
        Code.STREAM, "A page that XBZRLE compressed against the page before is damaged.", WHOLE, RAM
    ),
    "compressed-page": Sentence(
        Code.CAPABILITY,
        "A compressed page came, and the compress capability is off in the target.",
        "Turn compress on on the target (QEMU up to 9.0), or off on the source.",
        RAM,
        "compress",
    ),
    "compressed-length": Sentence(
        Code.STREAM, "A compressed page is {source} bytes long, which cannot be.", WHOLE, RAM
    ),
    "mapped-version": Sentence(
        Code.STREAM,
        "The mapped-ram header of a RAM block is of version {source}; the target reads up to {target}.",
        f"{_ONE_TARGET_SINCE}.",
        RAM,
    ),
    "mapped-page-size": Sentence(
        Code.PAGE_SIZE,
        "The pages in the mapped-ram file are of {source} bytes, the target's of {target}.",
        None,
        RAM,
        "page_size",
    ),
    "mapped-cut": Sentence(Code.STREAM, "The mapped-ram file ends in the header of a RAM block.", WHOLE, RAM),
    "mapped-pages": Sentence(
        Code.STREAM,
        "The mapped-ram file does not hold what its headers say: it is cut, or was moved to another offset.",
        WHOLE,
        RAM,
    ),
}
