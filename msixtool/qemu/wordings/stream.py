"""The stream as a whole: its header, its configuration, its sections and their versions, its commands.

Source: QEMU migration/savevm.c, vmstate.c, vmstate-types.c, global_state.c, postcopy-ram.c, multifd.c
and block-dirty-bitmap.c.
"""

from __future__ import annotations

from msixtool.qemu.wordings.wording import HEX, NAME, NUMBER, SECTION, START, Role, wording

_WORDY = (10, 1)
_CHAINED = (10, 2)

STREAM = (
    # The header
    wording(
        "magic",
        rf"Not a migration stream(?:,? \(?(?:bad )?magic:? (?P<source>{HEX})(?: != (?P<target>{HEX}))?)?",
        "Not a migration stream",
        base=16,
    ),
    wording("version-2", r"SaveVM v2 format is obsolete"),
    wording(
        "version",
        rf"Unsupported migration stream version(?:(?:, file version)? (?P<source>{HEX})"
        rf"(?: != (?P<target>{HEX}))?)?",
        "Unsupported migration stream version",
        base=16,
    ),
    # The configuration section
    wording(
        "configuration-missing",
        r"Configuration section missing(?:, (?P<source>[0-9a-f]{1,8}) != [0-9a-f]{1,8})?",
        "Configuration section missing",
        base=16,
    ),
    wording(
        "machine",
        r"Machine type received is '(?P<source>[^'\n]{0,255})' and local is '(?P<target>[^'\n]{0,255})'",
        "Machine type received is",
    ),
    wording(
        "page-bits",
        rf"Received TARGET_PAGE_BITS is (?P<source>{NUMBER}) but local is (?P<target>{NUMBER})",
        "Received TARGET_PAGE_BITS",
        base=10,
    ),
    wording(
        "capability",
        rf"Capability (?P<field>{NAME}) is (?P<target>on|off), but received capability is (?P<source>on|off)",
        "but received capability is",
    ),
    wording(
        "capability-unknown",
        rf"Received unknown capability (?P<field>{NAME})",
        "Received unknown capability",
    ),
    wording(
        "uuid",
        r"UUID received is (?P<source>[0-9a-fA-F-]{36}) and local is (?P<target>[0-9a-fA-F-]{36})",
        "UUID received is",
    ),
    wording(
        "uuid-unset",
        r"UUID is received (?P<source>[0-9a-fA-F-]{36}), but local uuid isn't set",
        "UUID is received",
        Role.NOTE,
    ),
    # Sections
    wording(
        "section-unknown",
        rf"Unknown savevm section or instance {SECTION} (?P<instance>{NUMBER})",
        "Unknown savevm section or instance",
        until=_WORDY,
    ),
    wording(
        "section-unknown",
        rf"Unknown section or instance {SECTION} (?P<instance>{NUMBER})",
        "Unknown section or instance",
        since=_CHAINED,
    ),
    wording(
        "section-type",
        rf"Unknown savevm section type (?P<source>{NUMBER})",
        "Unknown savevm section type ",
        base=10,
        until=_WORDY,
    ),
    wording(
        "section-type",
        rf"Unknown section type (?P<source>{NUMBER})",
        "Unknown section type ",
        base=10,
        since=_CHAINED,
    ),
    wording(
        "section-id-unknown",
        r"Unknown savevm section (?P<id>\d{1,20})(?!\w)",
        "Unknown savevm section ",
        until=_WORDY,
    ),
    wording(
        "section-id-unknown",
        r"Unknown section (?P<id>\d{1,20})(?!\w)",
        "Unknown section ",
        since=_CHAINED,
        weak=True,
    ),
    wording(
        "section-too-new",
        rf"unsupported version (?P<source>{NUMBER}) for {SECTION} v(?P<target>{NUMBER})",
        "unsupported version",
        base=10,
    ),
    wording(
        "version-too-new",
        rf"{START}(?P<vmsd>{NAME}): incoming version_id (?P<source>{NUMBER}) is too new for local version_id"
        rf" {{1,2}}(?P<target>{NUMBER})",
        "is too new for local version_id",
        base=10,
    ),
    wording(
        "version-too-old",
        rf"{START}(?P<vmsd>{NAME}): incoming version_id (?P<source>{NUMBER}) is too old for local minimum"
        rf" version_id {{1,2}}(?P<target>{NUMBER})",
        "is too old for local minimum version_id",
        base=10,
    ),
    wording(
        "footer-missing",
        rf"Missing section footer for (?P<section>{NAME}(?::{NAME}){{0,40}})",
        "Missing section footer for",
        after=("bitmap-node",),
    ),
    wording(
        "footer-id",
        rf"Mismatched section id in footer for (?P<section>{NAME}(?::{NAME}){{0,40}}) - read"
        rf" 0x(?P<source>{HEX}) expected 0x(?P<target>{HEX})",
        "Mismatched section id in footer for",
        base=16,
    ),
    wording(
        "footer-unreadable",
        rf"Read section footer failed: (?P<errno>{NUMBER})",
        "Read section footer failed",
    ),
    wording(
        "subsection-unknown",
        r"VM subsection '(?P<subsection>[^'\n]{1,255})' in '(?P<vmsd>[^'\n]{1,255})' does not exist",
        "VM subsection",
        since=_CHAINED,
    ),
    wording(
        "id-unreadable",
        rf"Unable to read ID string for section (?P<id>{NUMBER})",
        "Unable to read ID string for section",
    ),
    wording(
        "stream-error",
        rf"(?:Failed to load (?:(?P<vmsd>{NAME}) state|section ID|VM process command)"
        rf"|loadvm failed|Error while loading vmstate): stream error: (?P<errno>{NUMBER})",
        "stream error: ",
        since=_CHAINED,
    ),
    *(
        wording("read-error", rf"{words}: (?P<errno>{NUMBER})", words)
        for words in ("Failed to read section ID", "Failed to read instance/version ID")
    ),
    wording(
        "vmdesc-missing",
        rf"Expected vmdescription section, but got (?P<source>{NUMBER})",
        "Expected vmdescription section",
        Role.NOTE,
        base=10,
    ),
    # Fields
    wording(
        "not-equal",
        # QEMU prints the local value first, in hex without a prefix.
        r"(?<![\w,] )(?<!\S)(?P<target>[0-9a-f]{1,16}) != (?P<source>[0-9a-f]{1,16})(?![\w.])",
        " != ",
        base=16,
        weak=True,
    ),
    wording(
        "at-most",
        rf"Invalid value (?P<source>{NUMBER}) expecting positive value <= (?P<target>{NUMBER})",
        "expecting positive value",
        base=10,
    ),
    wording(
        "must-exist",
        rf"Input validation failed: (?P<vmsd>[\w.-]{{1,255}})/(?P<field>{NAME})",
        "Input validation failed",
        weak=True,
    ),
    wording(
        "run-state",
        rf"invalid parameter value: (?P<source>{NAME})",
        "invalid parameter value",
        weak=True,
    ),
    wording(
        "null-marker",
        r"vmstate: get_nullptr expected VMS_NULLPTR_MARKER",
        "get_nullptr expected",
    ),
    # Commands and postcopy
    wording(
        "command-unknown",
        rf"MIG_CMD 0x(?P<source>{HEX}) (?:unknown|deprecated) \(len 0x(?P<length>{HEX})\)",
        "MIG_CMD 0x",
        base=16,
    ),
    wording(
        "command-length",
        rf"{START}(?P<field>[A-Z_]{{2,40}}) received with bad length - expecting (?P<target>{NUMBER}),"
        rf" got (?P<source>{NUMBER})",
        "received with bad length",
        base=10,
    ),
    wording(
        "ping", r"CMD_PING \(0x[0-9a-f]{1,8}\) received with no return path", "received with no return path"
    ),
    wording(
        "postcopy-state",
        rf"CMD_(?P<field>POSTCOPY_[A-Z_]{{2,40}}) in wrong postcopy state \((?P<state>{NUMBER})\)",
        "in wrong postcopy state",
    ),
    wording(
        "postcopy-pages",
        rf"Postcopy needs matching RAM page sizes \(s=(?P<source>{HEX}) d=(?P<target>{HEX})\)",
        "Postcopy needs matching RAM",
        base=16,
    ),
    wording(
        "postcopy-pages",
        rf"Postcopy needs matching target page sizes \(s=(?P<source>{NUMBER}) d=(?P<target>{NUMBER})\)",
        "Postcopy needs matching target",
        base=10,
    ),
    wording(
        "postcopy-advise",
        r"RAM postcopy is (?P<target>enabled|disabled) but have (?P<length>\d{1,3}) byte advise",
        "byte advise",
    ),
    wording("colo", r"ENABLE_COLO command come in migration stream"),
    # multifd
    wording(
        "channel-magic",
        rf"unknown channel magic: (?P<source>{NUMBER})",
        "unknown channel magic",
        base=10,
    ),
    wording(
        "multifd-magic",
        rf"multifd: received packet magic (?P<source>{HEX})(?: and expected magic|,? expected)"
        rf" (?P<target>{HEX})",
        "multifd: received packet magic",
        base=16,
    ),
    wording(
        "multifd-version",
        rf"multifd: received (?:packet|channel) version (?P<source>{NUMBER})"
        rf"(?: and expected version|,? expected) (?P<target>{NUMBER})",
        "multifd: received",
        base=10,
    ),
    wording(
        "multifd-uuid",
        r"multifd: received uuid '(?P<source>[0-9a-fA-F-]{36})' and expected uuid"
        r" '(?P<target>[0-9a-fA-F-]{36})'",
        "multifd: received uuid",
    ),
    wording(
        "multifd-channels",
        rf"multifd: received channel id (?P<source>{NUMBER}) (?:is greater than number of channels"
        rf"|exceeds channel count) (?P<target>{NUMBER})",
        "multifd: received channel id",
        base=10,
    ),
    wording(
        "multifd-flags",
        rf"multifd {NUMBER}: flags received (?P<source>{HEX}) flags expected (?P<target>{HEX})",
        "flags received",
        base=16,
    ),
    wording(
        "multifd-pages",
        rf"multifd: received packet with (?:{NUMBER} (?:non-zero |zero )?pages|size {NUMBER})[^\n\"]{{1,80}}",
        "multifd: received packet with",
    ),
    # Dirty bitmaps
    wording(
        "bitmap-node",
        rf"Cannot find device='?(?P<field>[^'\s]{{1,255}}?)'? nor node[-_]name='?(?P<node>{NAME})'?",
        "Cannot find device=",
        weak=True,
    ),
    wording(
        "bitmap-exists",
        r"Bitmap with the same name \('(?P<field>[^'\n]{1,255})'\) already exists on destination",
        "already exists on destination",
    ),
    wording(
        "bitmap-granularity",
        r"Migrated bitmap granularity doesn't match the destination bitmap '(?P<field>[^'\n]{1,255})'",
        "Migrated bitmap granularity",
    ),
)
