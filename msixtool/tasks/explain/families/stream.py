"""The stream itself: its sections, commands and fields, where QEMU finds them odd.

Source: QEMU migration/savevm.c, vmstate.c, vmstate-types.c, migration.c, channel-block.c.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import CONSEQUENCE, family
from msixtool.tasks.finding import Code

OF_STREAM = (
    family(
        "section-read",
        "The target could not read the next part of the stream: it ended there, or what was read before"
        " was read in another layout than it was written in.",
        "See why the source stopped sending (its log), or take a copy of the stream that is whole; use the"
        " same machine type and devices on both sides.",
        "Failed to read section*", "Read section footer failed*", "Unable to read ID string*",
        "Failed to read instance/version*", "stream error*", "Failed to load section ID*",
        "Failed to load VM process command*", "Failed to load*state: stream error*", "loadvm failed*",
        "CMD_PACKAGED*", "*Unreasonably large packaged state*", "MIG_CMD*", "received with bad length*",
        "CMD_OPEN_RETURN_PATH*", "CMD_PING*", "*invalid payload length*", "Failed to load device state*",
        "Error while loading vmstate*", "Unknown idstr*", "Failed to load vmstate*",
        "Could not send switchover ack*", "Failed reading*",
        code=Code.STREAM, rank=CONSEQUENCE,
    ),
    family(
        "assertion",
        "QEMU ended itself on the side whose log this is: it met what its code takes for impossible. The"
        " state in the stream, or a request at the wrong moment, led there; it is a defect of this QEMU.",
        "Look for the function's name in QEMU's bug tracker, use the newest release of the branch on both"
        " sides, and see the lines before it for what it was about to do.",
        "Assertion `*' failed", "Assertion failed: *", "assertion failed: (*",
        rank=CONSEQUENCE - 1,
    ),
    family(
        "field-data",
        "A field in the stream holds what its device cannot take: the two sides have other devices or"
        " versions, or the stream is damaged there.",
        "Use the source's machine type, device properties and QEMU version on the target, and save again.",
        "Input validation failed*", "Invalid value*expecting*", "get_nullptr expected*", "put_nullptr*",
        "*gtree*", "VMSTATE not ending*", "Path too long for VMState*", "Detected duplicate SaveStateEntry*",
        "VMState*", "*post_load*", "*pre_load*", "Migration data*", "* : failed to load * (*)",
        "* : failed to save * (*)",
        code=Code.FIELD_MISMATCH, rank=CONSEQUENCE - 1,
    ),
)  # fmt: skip
"""What is left for no family of a device."""
