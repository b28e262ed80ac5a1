"""What a page shows of a document: facts in words, cells of a grid, findings by their cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msixtool.errors import visible, with_instance
from msixtool.kept import NamedTuple
from msixtool.words import byte_size, writer_in_words

if TYPE_CHECKING:
    from msixtool.documents import Document


class Cell(NamedTuple):
    """One vector of a grid. `mark` is a letter besides the colour, so that neither is needed alone."""

    vector: int
    style: str
    mark: str
    words: str


class Card(NamedTuple):
    """A device as a page shows it."""

    device: Document
    cells: list[Cell]
    counts: list[tuple[str, int]]


class FirstCause(NamedTuple):
    """What stops some streams first, and which."""

    cause: str
    rows: list[Document]


class Fleet(NamedTuple):
    """The streams of a folder: those that load, and the others by cause, the commonest first."""

    loads: list[Document]
    causes: list[FirstCause]
    damaged: int
    total: int


def shown(value: object) -> str:
    """Text that a stream decides over: in one line, with what is not printable as an escape."""
    return visible(str(value))


def hexadecimal(value: int | None, digits: int = 0) -> str:
    """A number as 0x…, with at least so many digits; a dash for none."""
    return "-" if value is None else f"0x{value:0{digits}x}"


def shown_value(found: object) -> str:
    """A value of a finding or a change: large numbers in both notations, nothing as a dash."""
    if found is None:
        return "-"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return f"{found} ({found:#x})" if found > 9 else str(found)
    if isinstance(found, dict) and "vectors" in found:
        return f"{found['vectors']} vectors"
    return shown(found)


def stream_facts(document: Document) -> list[tuple[str, str]]:
    """The head of a stream's page."""
    stream, source = document["stream"], document["source"]
    layers = " in ".join(layer["kind"] for layer in reversed(source["layers"]))
    blocks = stream["ram"]
    return [
        ("Machine", shown(stream["machine"] or "not in the stream")),
        ("Written by", writer_in_words(stream["writer"]["min"], stream["writer"]["max"])),
        ("Size", f"{source['size']:,} bytes" + (f", {layers}" if layers else "")),
        ("Stream", f"{stream['size']:,} bytes, {len(document['sections'])} items"),
        ("RAM", f"{byte_size(sum(b['size'] for b in blocks))} in {len(blocks)} blocks" if blocks else "none"),
        ("Page size", byte_size(stream["page_size"]) if stream["page_size"] else "not in the stream"),
        ("Capabilities", ", ".join(map(shown, stream["capabilities"])) or "none"),
        ("vmdesc", "yes" if stream["vmdesc"] else "no"),
        ("Footers", "yes" if stream["footers"] else "no"),
    ]


def card(device: Document) -> Card:
    """A device with a cell for each of its vectors."""
    users = _users(device)
    cells = [
        _cell(entry, device["function_masked"], users.get(entry["vector"])) for entry in device["entries"]
    ]
    kinds = [cell.style for cell in cells]
    counts = [
        ("live", sum("live" in kind for kind in kinds)),
        ("masked", sum("masked" in kind for kind in kinds)),
        ("pending", sum("pending" in kind for kind in kinds)),
    ]
    return Card(device, cells, counts)


def _users(device: Document) -> dict[int, str]:
    """Of a virtio device: what each vector serves."""
    users: defaultdict[int, list[str]] = defaultdict(list)
    if device["config_vector"] is not None:
        users[device["config_vector"]].append("configuration")
    for queue, vector in enumerate(device["queue_vectors"]):
        if vector is not None:
            users[vector].append(f"queue {queue}")
    return {vector: ", ".join(words) for vector, words in users.items()}


def _cell(entry: Document, function_masked: bool | None, user: str | None) -> Cell:
    masked = entry["masked"] or bool(function_masked)
    style = "masked" if masked else "live"
    words = ["masked" if entry["masked"] else "function masked" if masked else "live"]
    if entry["pending"]:
        style += " pending"
        words.append("pending")
    if user:
        words.append(f"used by {user}")
    words.append(f"address {entry['address']:#x}, data {entry['data']:#x}")
    mark = "!" if entry["pending"] else "·" if masked else "•"
    return Cell(entry["vector"], style, mark, f"vector {entry['vector']}: {', '.join(words)}")


def fleet_row(document: Document) -> Document:
    """What the page of many streams keeps of an `msixtool.inspect/1` document."""
    stream, devices = document["stream"], document["devices"]
    return {
        "path": document["source"]["path"],
        "machine": stream["machine"],
        "writer": writer_in_words(stream["writer"]["min"], stream["writer"]["max"]),
        "devices": len(devices),
        "vectors": sum(device["vectors"] for device in devices),
        "pending": sum(device["pending"] for device in devices),
        "damage": document["damage"][:3],
    }


def compat_row(document: Document, cause: str | None) -> Document:
    """What the page of many streams keeps of an `msixtool.compat/1` document; `cause` of its first error."""
    errors = [finding for finding in document["findings"] if finding["severity"] == "error"]
    return {
        "path": document["source"]["path"],
        "compatible": document["compatible"],
        "cause": cause,
        "reasons": len(errors),
        "message": errors[0]["message"] if errors else "",
        "advice": errors[0]["advice"] if errors else None,
        "undecided": sum(finding["code"] == "undecided" for finding in document["findings"]),
        "damage": len(document["damage"]),
    }


def by_cause(rows: Sequence[Document]) -> Fleet:
    """The rows of `compat_row`, sorted out."""
    causes: defaultdict[str, list[Document]] = defaultdict(list)
    for row in rows:
        if not row["compatible"]:
            causes[row["cause"] or "other"].append(row)
    ordered = sorted(causes.items(), key=lambda item: (-len(item[1]), item[0]))
    return Fleet(
        [row for row in rows if row["compatible"]],
        [FirstCause(*item) for item in ordered],
        sum(bool(row["damage"]) for row in rows),
        len(rows),
    )


def changes_by_device(document: Document) -> list[tuple[str, list[Document]]]:
    """The changes of a diff, those of one device together, in the order of the document."""
    devices: defaultdict[str, list[Document]] = defaultdict(list)
    for change in document["changes"]:
        devices[with_instance(change["device"], change.get("instance"))].append(change)
    return list(devices.items())
