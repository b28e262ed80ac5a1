"""That a load failed, and where: the messages around the cause.

Source: QEMU migration/migration.c, savevm.c and vmstate.c. Up to 10.1 each level reports a line of
its own, the innermost first; since 10.2 the levels are one line, the outermost first.
"""

from __future__ import annotations

from msixtool.qemu.wordings.wording import HEX, NAME, NUMBER, SECTION, Role, wording

_ONE_BY_ONE = (10, 1)
_ONE_LINE = (10, 2)

FRAME = (
    wording(
        "load-failed",
        # What strerror() says: words only, so that a colon, a quote or the end of the line ends it.
        r"load of migration failed(?:: (?P<errno>[A-Z][A-Za-z/ ]{2,60}))?",
        "load of migration failed",
        Role.END,
    ),
    wording(
        "snapshot-failed",
        r"Error (?P<errno>-\d{1,5}) while loading VM state",
        "while loading VM state",
        Role.END,
        until=_ONE_BY_ONE,
    ),
    wording(
        "snapshot-failed",
        r"Failed to load snapshot: Error (?P<errno>-\d{1,5})",
        "Failed to load snapshot: Error",
        Role.END,
    ),
    wording(
        "device",
        rf"error while loading state for instance 0x(?P<instance>{HEX}) of device {SECTION}",
        "error while loading state for instance",
        Role.PLACE,
    ),
    wording(
        "section-id",
        rf"error while loading (?:state )?section id (?P<id>{NUMBER})(?:\((?P<section>[^)\n]{{1,255}})\))?",
        "section id ",
        Role.PLACE,
        until=_ONE_BY_ONE,
    ),
    wording(
        "loading-device",
        rf"Load state of device (?P<section>{NAME}) failed",
        "Load state of device",
        Role.PLACE,
    ),
    wording(
        "element",
        rf"Failed to load element of type (?P<type>[^\n\"]{{1,40}}?) for (?P<field>{NAME})",
        "Failed to load element of type",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "field",
        rf"Failed to load (?P<vmsd>[\w./-]{{1,255}}):(?P<field>{NAME})",
        "Failed to load",
        Role.PLACE,
        until=_ONE_BY_ONE,
        weak=True,
    ),
    wording(
        "post-load",
        rf"post load hook failed for: (?P<vmsd>{NAME}), version_id: {NUMBER}, minimum_version: {NUMBER}"
        rf"(?:, ret: (?P<ret>{NUMBER}))?",
        "post load hook failed for",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "pre-load",
        rf"pre load hook failed for: '(?P<vmsd>{NAME})', version_id: {NUMBER}, minimum version_id: {NUMBER}"
        rf"(?:, ret: (?P<ret>{NUMBER}))?",
        "pre load hook failed for",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "loading-subsection",
        r"Loading VM subsection '(?P<subsection>[^'\n]{1,255})' in '(?P<vmsd>[^'\n]{1,255})' failed",
        "Loading VM subsection",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "subsection-traced",
        rf"vmstate_subsection_load_bad {NAME}: (?P<subsection>[^\s'\"]{{1,255}})/\(lookup\)",
        "vmstate_subsection_load_bad",
        Role.PLACE,
    ),
    wording(
        "loading-version",
        rf"Failed to load vmstate version_id: {NUMBER}, ret: (?P<ret>{NUMBER})",
        "Failed to load vmstate version_id",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "footer-error",
        rf"Section footer error, section_id: (?P<id>{NUMBER})",
        "Section footer error",
        Role.PLACE,
        since=_ONE_LINE,
    ),
    wording(
        "capabilities-invalid",
        r"Failed to validate capabilities",
        role=Role.PLACE,
        weak=True,
    ),
)
