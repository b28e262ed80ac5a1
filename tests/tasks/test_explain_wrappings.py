"""explain on logs as people have them: the same seven failures, in all the ways in which logs get written."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import html
import io
import json
import lzma
import quopri
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from urllib.parse import quote

import pytest

from msixtool.tasks.explain import explain
from tests.containers.recorded import needs
from tests.fuzz.container_readers import PACKERS

FAILURES = [
    [
        "get_pci_config_device: Bad config data: i=0x9a read: 3 device: 8 cmask: ff wmask: 0 w1cmask:0",
        "Failed to load PCIDevice:config",
        "Failed to load virtio-net:virtio",
        "error while loading state for instance 0x0 of device '0000:00:02.0/virtio-net'",
        "load of migration failed: Invalid argument",
    ],
    [
        "Unknown savevm section or instance '0000:00:03.0/e1000e' 0. Make sure that your current VM setup"
        " matches your saved VM setup, including any hotplugged devices",
        "load of migration failed: Invalid argument",
    ],
    ["Unknown ramblock \"pc.rom\", cannot accept migration",
     "error while loading state for instance 0x0 of device 'ram'",
     "load of migration failed: Invalid argument"],
    ["Features 0x130afffa7 unsupported. Allowed features: 0x79bfffff", "Failed to load virtio-blk:virtio",
     "error while loading state for instance 0x0 of device '0000:00:05.0/virtio-blk'",
     "load of migration failed: Operation not permitted"],
    ["Machine type received is 'pc-q35-9.0' and local is 'pc-q35-8.2'",
     "load of migration failed: Invalid argument"],
    ["AHCI: Failed to start FIS receive engine: bad FIS receive buffer address",
     "Failed to load ich9_ahci:ahci",
     "error while loading state for instance 0x0 of device '0000:00:1a.0/ich9_ahci'",
     "load of migration failed: Operation not permitted"],
    ["Missing section footer for 0000:00:01.0/virtio-gpu", "load of migration failed: Invalid argument"],
]  # fmt: skip
WORDS = ["i=0x9a", "e1000e", "pc.rom", "0x130afffa7", "pc-q35-9.0", "FIS receive", "virtio-gpu"]
DETAILS = [
    "config-mismatch",
    "section-unknown",
    "ram-missing",
    "features",
    "machine-type",
    "other",
    "section-layout",
]


def stamped(number: int) -> str:
    return f"2026-01-02T03:{number // 60:02}:{number % 60:02}.678901Z"


LINES = [f"qemu-system-x86_64: {line}" for failure in FAILURES for line in failure]
TIMED = [f"{stamped(number)} {line}" for number, line in enumerate(LINES)]
LOG = "\n".join(LINES) + "\n"
TEXT = "\n".join(TIMED) + "\n"


def each(write: Callable[[str], str], lines: list[str] = TIMED) -> bytes:
    return ("\n".join(map(write, lines)) + "\n").encode()


def csv_of(lines: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([[str(at), line] for at, line in enumerate(lines)])
    return out.getvalue().encode()


def folded_yaml(failures: list[list[str]]) -> bytes:
    out = "status:\n"
    for at, failure in enumerate(failures):
        said = "; ".join(f"qemu-kvm: {line}" for line in failure).replace("'", "''")
        text = f"reason{at}: 'virError(Code=9, Message=''operation failed: {said}'')'"
        indents = {"initial_indent": "  ", "subsequent_indent": "    "}
        out += textwrap.fill(text, 88, **indents, break_on_hyphens=False) + "\n"
    return out.encode()


def typographic(text: str) -> str:
    quotes = text.replace(" '", " ‘").replace("'", "’").replace(' "', " “").replace('"', "”")
    return quotes.replace(": ", ":\u00a0")


def byte_array(line: str) -> str:
    return json.dumps({"_PID": "7", "MESSAGE": list(line.encode())})


def journal(line: str) -> str:
    return json.dumps({"MESSAGE": line, "_PID": "7"})


def mailed(text: str) -> bytes:
    lines = [
        broken
        for line in text.splitlines()
        for broken in textwrap.wrap(line, 78, break_on_hyphens=False, break_long_words=False)
    ]
    return "\n".join(f"> {line}" for line in lines).encode()


def cut(text: str, width: int) -> bytes:
    pieces = [line[at : at + width] for line in text.splitlines() for at in range(0, len(line), width)]
    return "\n".join(pieces).encode()


WRAPPINGS: dict[str, bytes] = {
    "plain": LOG.encode(),
    "times": TEXT.encode(),
    "crlf": TEXT.replace("\n", "\r\n").encode(),
    "cr": TEXT.replace("\n", "\r").encode(),
    "syslog": each(lambda line: f"Jan  2 03:04:05 host libvirtd[1234]: {line}"),
    "container": each(lambda line: f"2026-01-02T03:04:05.6Z stderr F {line}", LINES),
    "quoted-lines": each(lambda line: f"> {line}"),
    "indented": each(lambda line: f"    {line}", LINES),
    "terminal-colours": each(lambda line: f"\x1b[31m{line}\x1b[0m"),
    "bom": b"\xef\xbb\xbf" + TEXT.encode(),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "gzip-rotated": gzip.compress(TEXT[:500].encode()) + gzip.compress(TEXT[500:].encode()),
    "json": json.dumps({"log": TEXT}).encode(),
    "json-lines": each(journal),
    "json-twice": json.dumps({"message": json.dumps({"desc": TEXT})}).encode(),
    "unicode-escapes": each(lambda line: json.dumps(line).replace("'", "\\u0027")),
    "hex-escapes": each(lambda line: line.replace("'", "\\x27").replace('"', "\\x22")),
    "backslash-quotes": each(lambda line: line.replace("'", "\\'")),
    "byte-arrays": each(byte_array),
    "html": html.escape(TEXT).encode(),
    "html-breaks": html.escape(TEXT).replace("\n", "<br>\n").encode(),
    "percent": quote(TEXT, safe=" ").encode(),
    "percent-lines": each(quote),
    "quoted-printable": quopri.encodestring(TEXT.encode()),
    "csv": csv_of(TIMED),
    "csv-newest-first": csv_of(TIMED[::-1]),
    "newest-first": each(str, TIMED[::-1]),
    "newest-first-without-times": each(str, LINES[::-1]),
    "typographic": typographic(TEXT).encode(),
    "syslog-escapes": TEXT.replace("\n", "#012").encode(),
    "run-together": b"internal error: QEMU unexpectedly closed the monitor: " + "".join(TIMED).encode(),
    "mail": mailed(TEXT),
    "terminal-width": cut(TEXT, 80),
    "folded-yaml": folded_yaml(FAILURES),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_wrapping_keeps_all_seven_failures(name: str) -> None:
    found = explain(io.BytesIO(WRAPPINGS[name]))
    texts = [each.text for each in found]
    assert [word for word in WORDS if not any(word in text for text in texts)] == []
    assert sorted(
        each.told.code.value for each in found if any(word in each.text for word in WORDS)
    ) == sorted(DETAILS)


@pytest.mark.parametrize("kind", ["zstd", "lz4", "lzop"])
def test_what_a_program_packed_is_read_as_what_it_was(kind: str) -> None:
    needs(kind)
    if kind == "lzop":
        if shutil.which("lzop") is None:
            pytest.skip("no lzop to pack a log with")
        packed = subprocess.run(["lzop", "-c"], input=TEXT.encode(), capture_output=True, check=True).stdout
    else:
        packed = PACKERS[kind](TEXT.encode())
    assert [each.text for each in explain(io.BytesIO(packed))] == [
        each.text for each in explain(io.BytesIO(TEXT.encode()))
    ]


def test_what_is_not_the_log_itself_is_no_failure() -> None:
    assert explain(io.BytesIO(base64.b64encode(TEXT.encode()))) == []
