"""What QEMU says in its log of a stream that it does not load, and means: a refusal each, by the name of the
wording (qemu/wordings).

In the texts stand the groups of the wording, and `it` for the section that the failure names. Refusals that
can be told from streams too stand in qemu/refusals itself.
"""

from __future__ import annotations

from msixtool.qemu.refusals import VECTOR, WHOLE
from msixtool.qemu.refusals.refusal import Code, Refusal

CONFIGURATION = "configuration"
RAM = "ram"

SOURCE_STOPPED = f"See the source's log of that time for why it stopped sending. {WHOLE}"
_ONE_TARGET_SINCE = "Load it in a QEMU at least as new as the one that saved it"


_SAME_PAGES = "Use the same huge pages for the guest's memory on both hosts."
_REMOVE_BITMAP = "Remove it on the target (block-dirty-bitmap-remove)."

STREAM: dict[str, Refusal] = {
    # The header and the configuration section: what else is refused of it is in qemu/refusals
    "version-2": Refusal(
        Code.STREAM,
        "The stream is of format version 2, which QEMU stopped writing in 2009 and no longer reads.",
    ),
    "version": Refusal(
        Code.STREAM,
        "The stream is of a format version that QEMU does not read: it reads version 3 alone.",
        "See where the file comes from: no QEMU writes such a version.",
        field="version",
    ),
    "uuid-unset": Refusal(
        Code.UUID,
        "A warning: the source has UUID {source}, the target was started without one. The load goes on.",
        "Start the target with -uuid {source}.",
        section=CONFIGURATION,
        field="uuid",
    ),
    # Sections
    "section-type": Refusal(
        Code.STREAM,
        "Where the next section should begin QEMU found a byte of value {source}: it read past or short of"
        " the section before, or the stream is damaged.",
        "Run msixtool validate on the stream; where it is whole, compare it with a fresh one of the target:"
        " msixtool compat.",
    ),
    "section-id-unknown": Refusal(
        Code.STREAM,
        "A part of section {id} came, but no section with this number had begun.",
        WHOLE,
    ),
    "footer-unreadable": Refusal(
        Code.STREAM,
        "The stream ends where the footer of {it} should stand: the source stopped sending, or its file is"
        " cut.",
        SOURCE_STOPPED,
    ),
    "id-unreadable": Refusal(
        Code.STREAM,
        "The stream ends, or is damaged, in the header of section {id}: as a rule the source stopped"
        " sending, or its file is cut.",
        SOURCE_STOPPED,
    ),
    "read-error": Refusal(Code.STREAM, "The stream ends in the header of a section.", SOURCE_STOPPED),
    "vmdesc-missing": Refusal(
        Code.STREAM,
        "A warning: the stream ends without the description of its sections (vmdesc). QEMU does not use it;"
        " the load goes on.",
    ),
    "must-exist": Refusal(
        Code.FIELD_MISMATCH, "The target does not accept the stream's {vmsd}/{field}.", field="{field}"
    ),
    "null-marker": Refusal(
        Code.SECTION_LAYOUT,
        "{it} holds fewer or more elements in the stream than in the target: where it has none, the stream"
        " has one.",
    ),
    # Commands, postcopy, multifd
    "command-unknown": Refusal(
        Code.STREAM,
        "The stream holds command {source}, which the target does not take.",
        f"{_ONE_TARGET_SINCE}.",
        field="command",
    ),
    "command-length": Refusal(
        Code.STREAM,
        "The stream's command {field} is {source} bytes long instead of {target}.",
        field="{field}",
    ),
    "ping": Refusal(
        Code.STREAM,
        "The stream asks for an answer on the return path, but came over a transport that has none.",
        "Load it from the socket it was meant for, or turn return-path off on the source before saving to a"
        " file.",
    ),
    "postcopy-state": Refusal(
        Code.STREAM,
        "The stream holds the command {field} at a moment when it makes no sense.",
        WHOLE,
        field="{field}",
    ),
    "postcopy-pages": Refusal(
        Code.PAGE_SIZE,
        "Postcopy needs the same page sizes on both sides: {source:#x} in the source, {target:#x} in the"
        " target.",
        _SAME_PAGES,
        section=RAM,
    ),
    "postcopy-advise": Refusal(
        Code.CAPABILITY,
        "The postcopy-ram capability is not the same on both sides: it is {target} in the target.",
        "Turn postcopy-ram on for both sides or for neither.",
        field="postcopy-ram",
    ),
    "colo": Refusal(
        Code.CAPABILITY,
        "The stream wants COLO, and the x-colo capability is off in the target.",
        "Turn x-colo on on the target, or off on the source.",
        field="x-colo",
    ),
    "multifd-version": Refusal(
        Code.STREAM,
        "A multifd channel speaks version {source}, the target version {target}.",
        field="multifd",
    ),
    "multifd-uuid": Refusal(
        Code.STREAM,
        "A multifd channel belongs to another migration: that of the VM with UUID {source}.",
        "Give each migration a port of its own.",
        field="multifd",
    ),
    "multifd-channels": Refusal(
        Code.CAPABILITY,
        "The source opened multifd channel {source}, the target expects {target} channels.",
        "Set multifd-channels to the same number on both sides.",
        field="multifd-channels",
    ),
    "multifd-flags": Refusal(
        Code.CAPABILITY,
        "The source compresses its multifd channels in another way than the target expects.",
        "Set multifd-compression to the same method on both sides.",
        field="multifd-compression",
    ),
    "multifd-pages": Refusal(
        Code.STREAM,
        "The source's multifd packets hold another number of pages than the target expects: the releases do"
        " not go together.",
        field="multifd",
    ),
    # Dirty bitmaps
    "bitmap-node": Refusal(
        Code.OTHER,
        "The stream holds a dirty bitmap of the block node {node}, and the target has no node of this name.",
        "Give the target's disk the node-name of the source's, map the names with block-bitmap-mapping, or"
        " turn dirty-bitmaps off on the source.",
        section="dirty-bitmap",
        field="{node}",
    ),
    "bitmap-exists": Refusal(
        Code.OTHER,
        "The target's disk already has a dirty bitmap of the name {field}.",
        _REMOVE_BITMAP,
        section="dirty-bitmap",
        field="{field}",
    ),
    "bitmap-granularity": Refusal(
        Code.FIELD_MISMATCH,
        "The dirty bitmap {field} has another granularity on the target.",
        _REMOVE_BITMAP,
        section="dirty-bitmap",
        field="{field}",
    ),
    # RAM
    "block-page-size": Refusal(
        Code.PAGE_SIZE,
        "RAM block {block} has pages of {source} bytes in the source and of {target} in the target.",
        _SAME_PAGES,
        section=RAM,
        field="{block}",
    ),
    "block-not-migratable": Refusal(
        Code.OTHER,
        "The stream holds RAM block {block}, which the target does not migrate.",
        None,
        section=RAM,
        field="{block}",
    ),
    "block-lost": Refusal(
        Code.STREAM,
        "A page of RAM block {block} came, and there is no such block.",
        WHOLE,
        section=RAM,
        field="{block}",
    ),
    "block-first": Refusal(
        Code.STREAM, "A page of the same RAM block as before came first of all.", WHOLE, section=RAM
    ),
    "page-outside": Refusal(
        Code.STREAM,
        "A page at {source:#x} came, which is beyond the end of its RAM block.",
        WHOLE,
        section=RAM,
    ),
    "zero-page": Refusal(
        Code.STREAM,
        "A page is said to be filled with one byte of value {source}: QEMU since 8.2 takes this for zero"
        " alone.",
        WHOLE,
        section=RAM,
    ),
    "ram-flags": Refusal(
        Code.STREAM,
        "Where the next page should begin QEMU found the flags {source:#x}: the stream is damaged, ends"
        " here, or was saved with a capability that the target lacks (0x100 is compress, removed in 9.1).",
        None,
        section=RAM,
    ),
    "ram-cut": Refusal(Code.STREAM, "The stream ends among the pages of RAM.", SOURCE_STOPPED, section=RAM),
    "xbzrle": Refusal(
        Code.STREAM, "A page that XBZRLE compressed against the page before is damaged.", WHOLE, section=RAM
    ),
    "compressed-page": Refusal(
        Code.CAPABILITY,
        "A compressed page came, and the compress capability is off in the target.",
        "Turn compress on on the target (QEMU up to 9.0), or off on the source.",
        section=RAM,
        field="compress",
    ),
    "compressed-length": Refusal(
        Code.STREAM, "A compressed page is {source} bytes long, which cannot be.", WHOLE, section=RAM
    ),
    "mapped-version": Refusal(
        Code.STREAM,
        "The mapped-ram header of a RAM block is of version {source}; the target reads up to {target}.",
        f"{_ONE_TARGET_SINCE}.",
        section=RAM,
    ),
    "mapped-page-size": Refusal(
        Code.PAGE_SIZE,
        "The pages in the mapped-ram file are of {source} bytes, the target's of {target}.",
        None,
        section=RAM,
        field="page_size",
    ),
    "mapped-cut": Refusal(
        Code.STREAM, "The mapped-ram file ends in the header of a RAM block.", WHOLE, section=RAM
    ),
    "mapped-pages": Refusal(
        Code.STREAM,
        "The mapped-ram file does not hold what its headers say: it is cut, or was moved to another offset.",
        WHOLE,
        section=RAM,
    ),
}

# What the log alone does not tell: looked up, or put together

MAGIC = Refusal(
    Code.STREAM,
    "What QEMU was given is no migration stream{said}.",
)
MULTIFD = Refusal(
    Code.CAPABILITY,
    "The multifd capability is {there} in the source and {here} in the target: it met bytes that are meant"
    " for another kind of channel.",
    "Turn multifd on for both sides or for neither (migrate-set-capabilities).",
    "multifd",
)
MULTIFD_CHANNEL = Refusal(
    Code.STREAM,
    "What came on a multifd channel is none: another program connected, or TLS is on on one side alone.",
    field="multifd",
)
TLS_ON_SOURCE = Refusal(
    Code.CAPABILITY,
    "TLS is on in the source and off in the target: what came is the greeting of a TLS client, where the"
    " target waits for the stream itself.",
    "Set tls-creds on both sides or on neither (migrate-set-parameters; virsh migrate --tls).",
    "tls-creds",
)
CHANNEL_MAGIC = Refusal(
    Code.CAPABILITY,
    "What connected to the target begins neither as a migration stream nor as a channel of multifd{said}:"
    " multifd is on on one side alone, or another program connected.",
    "Set multifd and multifd-channels alike on both sides, and see that nothing else connects to this port.",
    "multifd",
)
ENDED = Refusal(Code.STREAM, "The stream ended, or the connection broke{inside}.", SOURCE_STOPPED)
FOOTER_MISSING = Refusal(
    Code.SECTION_LAYOUT,
    "QEMU read {it} by its own layout and did not end where the section does: the stream has more of it,"
    " or less, than the target's device has.",
)
FOOTER_OTHER = Refusal(
    Code.SECTION_LAYOUT,
    "Behind {it} stands the footer of section {source} instead of {target}: QEMU reads this section in"
    " another layout than the one in which it was written, or the stream is damaged.",
)
BLOCKED = Refusal(Code.OTHER, "The VM cannot be saved: {reason}.")
BLOCKED_DEVICE = BLOCKED._replace(words="The VM cannot be saved: the state of {it} cannot be migrated.")
CPU_FEATURES = Refusal(
    Code.OTHER,
    "The CPU that QEMU gives the guest on this host is not the one in its definition{differs}.",
    field="cpu",
    section="cpu",
)

# What QEMU refuses without saying why

NO_REASON = Refusal(
    Code.OTHER,
    "QEMU gives no reason in this line; it stands in the lines before, in QEMU's own log (libvirt:"
    " /var/log/libvirt/qemu/NAME.log on the target host).",
)
CONFIG_DIFFERS = Refusal(
    Code.CONFIG_MISMATCH,
    "The PCI configuration space of {it} is not the same on both sides. Which byte differs is in a line"
    " with Bad config data, which is not in this log; releases before 2.4 do not tell it.",
    field="{name}",
)
NO_REASON_AT = Refusal(Code.OTHER, "{it} refused its state {stopped}; QEMU gives no reason.", field="{name}")
OWN_WORDS = Refusal(
    Code.OTHER,
    "{where}; QEMU says why in its own words, which msixtool does not know: {text}",
    field="{name}",
)
CRASHED = Refusal(
    Code.OTHER,
    "QEMU crashed. Where that was in a load by a release before 7.2, a virtio queue whose vector the device"
    " does not have can be why: give the stream with --stream to see.",
)
CRASHED_BY = "QEMU crashed, and the stream has what crashes releases before 7.2: {it}: {refusal}."
CUT_TOO = Refusal(Code.STREAM, "The stream ended{where}, as the one given does: {cut}.", WHOLE)
CUT = Refusal(
    Code.STREAM,
    "The stream ended, or the connection broke{where}, before the target had all of it. As a rule the source"
    " stopped sending, died or its file is cut. Where a device refused its state, its own words stand in the"
    " lines before, in QEMU's log on the target host.",
    SOURCE_STOPPED,
)
ERRNO = Refusal(
    Code.OTHER,
    "{what} failed with the error {errno}, which is no reason by itself: either the device could not take its"
    " state, and its own words stand in the lines before, in QEMU's log; or what it read from broke off."
    "{whole}",
    f"Read the lines before on the target host. {SOURCE_STOPPED}",
)
SUBSECTION_UNNAMED = Refusal(
    Code.SUBSECTION_UNKNOWN,
    "The stream has a subsection in {it} that the target does not know; {which}",
    field="{name}",
)
SILENT = "{it} refused its state without a word"
PORTS_DIFFER = Refusal(
    Code.FIELD_MISMATCH,
    f"{SILENT}: its ports (virtserialport, virtconsole) are not the source's, in number or in nr=, or a"
    " vector is out of range.",
    field="ports_map",
)
NOT_PERMITTED = Refusal(
    Code.OTHER,
    f"{SILENT}, with error 1 (operation not permitted): queue_sel is 1024 or more, or a queue cannot be"
    " read.",
    field="queue_sel",
)
TYPE_STATE = Refusal(
    Code.OTHER,
    f"{SILENT}. In the stream its vectors are all in range, so it is the state of the device type itself that"
    " does not fit.",
)
VECTOR_UNSEEN = VECTOR._replace(
    words=f"{SILENT}. A virtio device does that where config_vector or a queue's vector is not below the"
    " number of its MSI-X vectors; --stream shows which."
)
