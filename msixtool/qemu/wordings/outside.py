"""Beside the load: what keeps a VM from being saved, snapshots, crashes, and what libvirt checks itself.

Source: QEMU migration/savevm.c, migration.c and options.c, block/ and hw/ (their migration blockers),
qobject/json-writer.c; libvirt src/conf/domain_conf.c (virDomainDefCheckABIStability) and
src/qemu/qemu_process.c.
"""

from __future__ import annotations

from msixtool.qemu.wordings.wording import NAME, REASON, SECTION, START, wording

_FEATURES = r"[\w.-]{1,60}(?:,[\w.-]{1,60}){0,200}"
_QEMU = r"(?:qemu|kvm)[\w.+-]{0,60}"

OUTSIDE = (
    # What cannot be saved
    wording(
        "blocked-device",
        rf"[Ss]tate blocked by non-migratable device {SECTION}",
        "tate blocked by non-migratable",
    ),
    wording(
        "blocked-cpu",
        r"[Ss]tate blocked by non-migratable CPU device \((?P<field>[^)\n]{1,40})\)",
        "tate blocked by non-migratable",
    ),
    wording(
        "blocked-device",
        r"Device (?P<section>[^\s'\"]{1,255}) is not migratable, but --only-migratable was specified",
        "is not migratable, but",
    ),
    wording(
        "blocked-device",
        r"non-migratable device: (?P<section>[\w.,:@/-]{1,254}\w)",
        "non-migratable device: ",
    ),
    *(
        wording("blocked", rf"(?P<reason>{words}{REASON})", hint)
        for words, hint in (
            ("(?:Live m|M)igration disabled: ", "igration disabled: "),
            ("Migration is disabled when ", "Migration is disabled when "),
        )
    ),
    *(
        wording("blocked", rf"{START}(?P<reason>{NAME}: {words})", hint, weak=True)
        for words, hint in (
            ("Migration disabled", "Migration disabled"),
            ("Migration is disabled for VFIO device", "Migration is disabled for VFIO"),
        )
    ),
    *(
        wording("blocked", rf"(?P<reason>{words})", hint)
        for words, hint in (
            ("VFIO device doesn't support migration", "VFIO device doesn"),
            ("virgl is not yet migratable", "virgl is not yet migratable"),
            ("'peer' devices are not migratable", "devices are not migratable"),
            (r"The vdagent chardev doesn't (?:yet )?support migration", "The vdagent chardev doesn"),
            (r"Back-end of [^\n\"]{1,120} does not support migration through qemu", "Back-end of "),
            (r"(?:SEV|SEV-SNP|TDX): Migration is not implemented", "Migration is not implemented"),
            (rf"Migration is not supported for {NAME}", "Migration is not supported for "),
        )
    ),
    wording(
        "blocked-image",
        r"The (?P<format>[\w() ]{1,24}) format used by node '(?P<field>[^'\n]{1,255})' does not support"
        r" live migration",
        "does not support live migration",
    ),
    wording(
        "blocked-replug",
        r"device_(?:add|del) not allowed while migrating",
        "not allowed while migrating",
    ),
    wording(
        "file-transport",
        r"fd: migration to a file is not supported",
        since=(11, 0),
    ),
    wording(
        "transport",
        r"Migration requires (?P<field>seekable transport|multi-channel URIs|streamable transport"
        r"|a transport that allows for extra fds)",
        "Migration requires ",
    ),
    # Snapshots
    wording(
        "snapshot-missing",
        r"Snapshot '(?P<field>[^'\n]{0,255})' does not exist in one or more devices",
        "does not exist in one or more devices",
        since=(6, 0),
    ),
    wording(
        "snapshot-missing",
        r"Device '(?P<device>[^'\n]{1,255})' does not have the requested snapshot '(?P<field>[^'\n]{0,255})'",
        "does not have the requested snapshot",
        until=(5, 2),
    ),
    wording("snapshot-disk-only", r"This is a disk-only snapshot"),
    wording(
        "snapshot-device",
        r"Device '(?P<field>[^'\n]{1,255})' is writable but does not support snapshots",
        "is writable but does not support snapshots",
    ),
    # Crashes
    wording(
        "json-assertion",
        r"json-writer\.c:\d{1,6}: \w{1,40}: Assertion `[^'\n]{1,80}' failed",
        "json-writer.c:",
    ),
    wording("crash", rf"{_QEMU}(?:\[\d{{1,10}}\])?: segfault at [0-9a-f]{{1,16}}", "segfault at ", rank=2),
    wording(
        "crash", rf"Process \d{{1,10}} \({_QEMU}\) of user \d{{1,10}} dumped core", "dumped core", rank=2
    ),
    wording("crash", rf"[Ss]egmentation fault[^\n]{{0,40}}? {_QEMU}", "egmentation fault", rank=2),
    wording("shut-down", r"shutting down, reason=crashed", "reason=crashed", rank=2),
    # libvirt
    wording(
        "libvirt-definition",
        r"unsupported configuration: Target (?P<field>[A-Za-z][\w -]{1,60}?) '?(?P<target>[^\s']{1,255})'?"
        r" does not match source '?(?P<source>[^\s'\"]{1,255})",
        "does not match source",
    ),
    wording(
        "libvirt-cpu",
        rf"guest CPU doesn't match specification:(?: extra features: (?P<target>{_FEATURES}),?)?"
        rf"(?: missing features: (?P<source>{_FEATURES}))?",
        "match specification",
    ),
)
