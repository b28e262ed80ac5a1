"""The way of an interrupt as a page draws it: from its cause, by vector and route, to its CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.kept import NamedTuple
from msixtool.pages.views import Cell

if TYPE_CHECKING:
    from msixtool.documents import Document


_BROKEN = ("lost", "stuck")
_HERE = "here"
"""The step that an interrupt is at; `broken` is the one where it was lost, `suspect` where it may be."""


class Station(NamedTuple):
    """One station of a way. `style` is `here`, `broken`, `suspect` or nothing."""

    title: str
    words: str
    style: str = ""


class Way(NamedTuple):
    """The stations from ring to CPU."""

    title: str
    steps: list[Station]


def traced_device(device: Document) -> Document:
    """A device of `msixtool.trace/1` with a cell for each interrupt's vector and a way for each interrupt."""
    rows = device["interrupts"]
    return {
        "name": device["name"],
        "instance": device["instance"],
        "cells": [_cell(row) for row in rows if row["vector"] is not None],
        "ways": [_way(row) for row in rows if row["use"] is not None and row["vector"] is not None],
    }


def _serves(row: Document) -> str:
    if row["use"] is None:
        return f"vector {row['vector']}"
    return "configuration" if row["queue"] is None else f"queue {row['queue']}"


def _cell(row: Document) -> Cell:
    lost = row["verdict"] in _BROKEN
    style = "masked" if row["masked"] else "live"
    style += " lost" if lost else " pending" if row["pending"] else ""
    mark = "✗" if lost else "!" if row["pending"] else "·" if row["masked"] else "•"
    words = [f"vector {row['vector']}: {'masked' if row['masked'] else 'live'}", _serves(row), row["verdict"]]
    return Cell(row["vector"], style, mark, ", ".join(words))


def _way(row: Document) -> Way:
    route = row["route"]
    steps = [
        _cause(row),
        Station(
            f"vector {row['vector']}",
            "masked" if row["masked"] else "live",
            _HERE if row["where"] == "pending" else "",
        ),
    ]
    if route["irte"] is not None:
        steps.append(Station(f"IRTE {route['irte']}", "interrupt remapping"))
    steps.append(_cpu(row))
    return Way(_serves(row), steps)


def _cause(row: Document) -> Station:
    ring = row["ring"]
    if ring is None:
        words = "ring not in the stream" if row["use"] == "queue" else "configuration changes"
        return Station(_serves(row), words)
    numbers = "/".join("-" if ring[key] is None else str(ring[key]) for key in ("available", "taken", "used"))
    owed = {True: "owed", False: "nothing owed", None: "not known"}[row["owed"]]
    return Station(_serves(row), f"{ring['layout']} ring {numbers}: {owed}")


def _cpu(row: Document) -> Station:
    route, where = row["route"], row["where"]
    if route["note"]:
        return Station("nowhere", route["note"], "broken")
    cpus = ", ".join(map(str, route["cpus"] or ())) or "unknown"
    vector = "" if route["cpu_vector"] is None else f" vector {route['cpu_vector']:#x}"
    there = {"apic-irr": "requested there", "apic-isr": "in service there"}
    words = there.get(where or "") or str(row["verdict"])
    style = "broken" if row["verdict"] in _BROKEN else "suspect" if row["verdict"] == "suspect" else ""
    return Station(f"CPU {cpus}{vector}", words, _HERE if where in ("apic-irr", "apic-isr") else style)
