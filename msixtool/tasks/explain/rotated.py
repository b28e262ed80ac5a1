"""The logs of a folder, each with what was rotated out of it: NAME.log, NAME.log.1, NAME.log-20260102.gz.

Source: logrotate(8) (rotate, dateext, compress); libvirt's virtlogd.conf (max_backups) names them NAME.log.N.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from msixtool.errors import InputError
from msixtool.tasks.explain.explanation import Explanation
from msixtool.tasks.explain.packed import Pieces, text_of

_LOG = re.compile(
    r"(?P<name>.*\.(?:log|txt)|syslog|messages|journal|daemon)"
    r"(?:\.(?P<number>\d{1,6})|[-.](?P<date>\d{8}(?:-?\d{2,10})?))?(?:\.(?:gz|bz2|xz|zst|lz4|lzo))?"
)
_PIECE = 1 << 16


def logs_of(folder: Path) -> list[list[Path]]:
    """The files of each log of a folder, the oldest first, the logs by name.

    Raises InputError for a folder without a log, OSError for one that cannot be read.
    """
    found: dict[str, list[tuple[tuple[int, int], Path]]] = {}
    for path in sorted(folder.iterdir()):
        named = _LOG.fullmatch(path.name)
        if named is not None and path.is_file():
            found.setdefault(named["name"], []).append((_age(named), path))
    if not found:
        raise InputError("a folder without a log", path=str(folder), expected="NAME.log, NAME.log.1, …")
    return [[path for _, path in sorted(files)] for _, files in sorted(found.items())]


def _age(named: re.Match[str]) -> tuple[int, int]:
    """Sorts the oldest first: dates rise, numbers fall, and what is still written to is the newest."""
    if named["date"]:
        return 0, int(named["date"].replace("-", "").ljust(18, "0"))
    return (1, -int(named["number"])) if named["number"] else (2, 0)


class Joined:
    """The files of one log as one, each unpacked: what a failure begins in one file may end in the next."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._first: list[int] = []
        """The number of each file's first line in the whole; of those that were read."""
        self.size = 0

    def open(self) -> BinaryIO:
        """The text of all. Reading it raises InputError for a file that cannot be read or is damaged."""
        return io.BufferedReader(Pieces(self._pieces()))

    def _pieces(self) -> Iterator[bytes]:
        line = 1
        for path in self._paths:
            self._first.append(line)
            last = b""
            try:
                with path.open("rb") as raw:
                    self.size += path.stat().st_size
                    text = text_of(raw)
                    while data := text.read(_PIECE):
                        line += data.count(b"\n")
                        last = data
                        yield data
            except OSError as error:
                raise InputError("cannot be read", path=str(path), found=error.strerror) from None
            if last and not last.endswith(b"\n"):
                line += 1
                yield b"\n"

    def located(self, found: Sequence[Explanation]) -> list[Explanation]:
        """With the file that each cause stands in, and the numbers of its lines there."""
        for each in found:
            file = self._file(each.line)
            each.log = str(self._paths[file])
            each.lines = tuple(self._lines(each.lines, file))
            each.again = self._lines(each.again, file)
            each.line -= self._first[file] - 1
        return list(found)

    def _file(self, line: int) -> int:
        return max(bisect_right(self._first, line) - 1, 0)

    def _lines(self, lines: Sequence[int], file: int) -> list[int]:
        """The numbers in a file of those lines that stand in it."""
        return [line - self._first[file] + 1 for line in lines if self._file(line) == file]
