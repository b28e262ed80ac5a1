"""The recorded logs of tests/data/logs, failure by failure, and what each has to be explained as."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from msixtool.tasks.explain import Explanation, explain
from tests.conftest import REPOSITORY

LOGS = REPOSITORY / "tests" / "data" / "logs"
VERSIONS = ("5.2", "7.2", "10.0", "11.1")

NET = "0000:00:02.0/virtio-net"
NIC = "0000:00:03.0/e1000e"


def explained(*lines: str) -> list[Explanation]:
    """What a log of these lines means."""
    return explain(io.BytesIO("\n".join(lines).encode()))


def one(*lines: str) -> Explanation:
    """The one failure in a log of these lines."""
    found = explained(*lines)
    assert len(found) == 1, [each.text for each in found]
    return found[0]


def recorded(version: str) -> dict[str, str]:
    """What a QEMU of this release said, by the name of the failure."""
    said: dict[str, str] = {}
    name = ""
    for line in (LOGS / f"{version}.log").read_text().splitlines(keepends=True):
        if line.startswith("# "):
            name = line[2:].split(":")[0]
            said[name] = ""
        else:
            said[name] += line
    return said


@dataclass(frozen=True)
class Expected:
    """What has to be told of a failure. `source` and `target` of None are not looked at."""

    code: str
    section: str | None = None
    field: str | None = None
    source: Any = None
    target: Any = None
    config_offset: int | None = None


EXPECTED = {
    "magic": Expected("stream"),
    "version-2": Expected("stream"),
    "version": Expected("stream", field="version"),
    "configuration-missing": Expected("field-mismatch", "configuration"),
    "machine": Expected("machine-type", "configuration", "machine"),
    "page-bits": Expected("page-size", "configuration", "page_size", 16384, 4096),
    "capability-unknown": Expected("capability", "configuration", "x-frob"),
    "capability": Expected("capability", "configuration", "x-ignore-shared", False, True),
    "uuid": Expected(
        "uuid",
        "configuration",
        "uuid",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "12345678-1234-1234-1234-123456789abc",
    ),
    "section-too-new": Expected("section-version", NET, "version_id", 12, 11),
    "version-too-old": Expected("section-version", NET, "version_id", 10, 11),
    "section-unknown": Expected("section-unknown", NIC),
    "section-type": Expected("stream", source=9),
    "section-id-unknown": Expected("stream"),
    "footer-missing": Expected("section-layout", NIC),
    "footer-id": Expected("section-layout", NIC, source=0x7F),
    "cut": Expected("stream", NIC),
    "id-unreadable": Expected("stream"),
    "subsection-unknown": Expected("subsection-unknown", NET),
    "version-too-new": Expected("section-version", NET, "virtio/virtqueues", 5, 1),
    "command-unknown": Expected("stream", field="command", source=0x63),
    "command-length": Expected("stream", field="PING", source=8, target=4),
    "ping": Expected("stream"),
    "postcopy-state": Expected("stream", field="POSTCOPY_RUN"),
    "postcopy-advise": Expected("capability", field="postcopy-ram", target=False),
    "bitmap-node": Expected("other", "dirty-bitmap", "xyz"),
    "run-state": Expected("other", "globalstate", "runstate", "preluncho"),
    "block-unknown": Expected("ram-missing", "ram", "xc.ram"),
    "block-rom": Expected("ram-missing", "ram", "0000:00:02.0/virtio-net-pci.rom"),
    "block-size": Expected("ram-size", "ram", "pc.ram", 4 << 20, 8 << 20),
    "block-too-large": Expected("ram-size", "ram", "/rom@etc/table-loader", 1 << 30),
    "ram-flags": Expected("stream", "ram", source=0x800),
    "block-lost": Expected("stream", "ram", "foo"),
    "page-outside": Expected("stream", "ram", source=0x7FFFF000),
    "zero-page": Expected("stream", "ram", source=7),
    "xbzrle": Expected("stream", "ram"),
    "cut-in-ram": Expected("stream", "ram"),
    "at-most": Expected("section-version", NIC, "version_id", 3, 2),
    "irq-state": Expected("other", NIC, "irq_state", 5),
    "serial-number": Expected("config-mismatch", NIC, "device serial number", 0x55, None, 0x145),
    "vectors": Expected("config-mismatch", NET, "MSI-X table size", None, 8, 0x9A),
    "legacy": Expected("config-mismatch", NET, "capabilities pointer", 0x98, 0x40, 0x34),
    "slot-number": Expected(
        "config-mismatch",
        "0000:00:02.0/pcie-root-port",
        "Slot Capabilities: slot number",
        0x22,
        0x2A,
        0x6A,
    ),
    "footer-of-xhci": Expected("section-layout", "0000:00:02.0/xhci"),
    "subsystem": Expected("field-mismatch", NIC, "subsys/subsys_ven"),
    "not-equal": Expected("field-mismatch", "0000:00:02.0/virtio-gpu", "max_outputs", 1, 2),
    "config-vector": Expected("vector-range", NET, "vector"),
    "queue-vector": Expected("vector-range", NET, "vector"),
    "queue-count": Expected("other", NET, "num_queues", 1025),
    "queue-address": Expected("other", NET, "queue 0 last_avail_idx", 7),
    "queue-size": Expected("queue-size", NET, "queue 0 size", 1024, 256),
    "features": Expected("features", NET, "guest_features"),
    "serial-ports": Expected("field-mismatch", "0000:00:02.0/virtio-console", "ports_map"),
}
"""The same for every release; what differs among them is in the tests."""
