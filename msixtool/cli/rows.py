"""`--format csv`: what answers have to say in rows, made from their documents. One heading, then rows."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from msixtool.cli.guard import plain_line
from msixtool.cli.summary import inspect_facts

if TYPE_CHECKING:
    from msixtool.documents import Document

_Rows = Callable[["Document"], Iterator[list[Any]]]

_FORMULA = ("=", "+", "-", "@")
"""What a formula of a spreadsheet begins with."""


def print_rows(document: Document) -> None:
    """The heading, and the rows of a document."""
    columns, rows = _TABLES[document["schema"].partition("/")[0].removeprefix("msixtool.")]
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["path", *columns.split()])
    path = document["source"]["path"]
    for row in rows(document):
        out.writerow([_cell(each) for each in (path, *row)])


def _cell(value: Any) -> Any:
    """A value as a cell: a row stays one line, and no name is a formula that a spreadsheet works out."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    line = plain_line(value)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line


def _inspect(document: Document) -> Iterator[list[Any]]:
    domain = next((layer["domain"] for layer in document["source"]["layers"] if "domain" in layer), None)
    yield [domain, *inspect_facts(document).values()]


def _validate(document: Document) -> Iterator[list[Any]]:
    keys = ("severity", "rule", "device", "instance", "vector", "offset", "message")
    for finding in document["findings"]:
        yield [finding[key] for key in keys]


def _compat(document: Document) -> Iterator[list[Any]]:
    findings = document["findings"]
    errors = [finding for finding in findings if finding["severity"] == "error"]
    first = errors[0] if errors else dict.fromkeys(("code", "section", "message"))
    warnings = len(findings) - len(errors)
    yield [document["compatible"], len(errors), warnings, first["code"], first["section"], first["message"]]


def _trace(document: Document) -> Iterator[list[Any]]:
    for device in document["devices"]:
        for each in device["interrupts"]:
            route = each["route"] or {}
            cpus = " ".join(map(str, route.get("cpus") or []))
            yield [
                *(device["name"], device["instance"], each["vector"], each["use"], each["queue"]),
                *(cpus, route.get("cpu_vector"), each["owed"], each["where"], each["verdict"]),
            ]


_TABLES: dict[str, tuple[str, _Rows]] = {
    "inspect": ("domain machine qemu_min qemu_max devices vectors pending damage", _inspect),
    "validate": ("severity rule device instance vector offset message", _validate),
    "compat": ("compatible errors warnings code section message", _compat),
    "trace": ("device instance vector use queue cpus cpu_vector owed where verdict", _trace),
}
