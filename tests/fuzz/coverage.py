"""Inputs chosen by what they reach: atheris (libFuzzer) over a reader, each in a process of its own.

libFuzzer keeps the inputs that reach code which none before them did, and goes on from those. Its own
changes of bytes take turns with those of the harness, which know what a reader reads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.outcome import Input, Tally

READERS = (
    *("stream", "vmdesc", "spec", "log", "wrapped", "replay", "vmstate", "qcow2", "libvirt", "lzop"),
    "mapped-ram",
)
"""Those that are run where none is named."""

SECONDS = 600.0
"""Seconds of CPU of each, where nothing else is asked for: the clock says little on a busy machine."""
_SEEDS = 400
"""Inputs of the harness that a run begins with, besides those that a run before it has kept."""
_LONGEST = 1 << 16
"""Bytes of an input: longer ones are slow, and reach nothing that short ones do not."""
_REACHED = re.compile(r"cov: (\d+) ft: (\d+)")


def run(name: str, seed: int, seconds: float, keep: str | None, corpus: str | None) -> tuple[Tally, str]:
    """One reader for so many seconds of CPU; the tally, and what libFuzzer says was reached.

    A process that dies of an input is a finding, and another goes on with what was kept.
    """
    from tests.fuzz.outcome import Finding, Tally

    whole = Tally()
    reached = ""
    end = _cpu_of_children() + seconds
    with TemporaryDirectory(prefix="msixtool-coverage-") as folder:
        kept = Path(corpus or folder, name)
        kept.mkdir(parents=True, exist_ok=True)
        while (left := end - _cpu_of_children()) > 1:
            child, said = _child(name, seed, left, keep, kept, Path(folder))
            found = Path(folder, "tally")
            if found.exists():
                whole.add(pickle.loads(found.read_bytes()))
                found.unlink()
            reached = _last_reached(said, len(list(kept.iterdir()))) or reached
            if child == 0:
                break
            crashes = sorted(Path(folder).glob("*-*"))
            text = said[-2000:] or f"status {child}"
            whole.findings.append(
                Finding(name, seed, whole.count, ", ".join(map(str, crashes)), "crash", text)
            )
            whole.outcomes["finding"] += 1
            for crash in crashes:
                crash.rename(Path(keep or ".", f"{name}-{crash.name}"))
            seed += 1
    return whole, reached


def _child(name: str, seed: int, seconds: float, keep: str | None, kept: Path, own: Path) -> tuple[int, str]:
    """A process that reads until the time is over; its status, and what it wrote."""
    words = [
        sys.executable,
        "-m",
        "tests.fuzz.coverage",
        name,
        "--seed",
        str(seed),
        "--seconds",
        str(seconds),
    ]
    words += ["--tally", str(own / "tally"), "--artifacts", f"{own}/", "--corpus", str(kept)]
    words += ["--keep", keep] if keep else []
    with open(own / "said", "w+b") as said:
        status = subprocess.run(words, stdout=said, stderr=said, check=False).returncode
        said.seek(max(0, said.tell() - (1 << 20)))
        return status, said.read().decode(errors="replace")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_reached(said: str, kept: int) -> str:
    found = _REACHED.findall(said)
    return f"{found[-1][0]} edges, {found[-1][1]} features, {kept} inputs kept" if found else ""


class _Target:
    """A reader as libFuzzer calls it: bytes in, and nothing raised."""

    def __init__(self, asked: argparse.Namespace) -> None:
        from tests.fuzz import readers, worker

        self.asked = asked
        self.worker = worker
        self.reader = readers.READERS[asked.reader]
        self.loop = worker.Loop(self.reader, asked.seed, None)
        self.end = time.process_time() + asked.seconds
        self.count = 0
        self.others: list[bytes] = []
        self.known: set[tuple[str, str]] = set()

    def seeds(self, folder: Path) -> None:
        """Put into the folder what the harness makes: as it is made from, and changed."""
        others: dict[bytes, None] = {}
        for index in range(_SEEDS):
            made = self.reader.make(self.worker.random_of(self.reader.name, self.asked.seed, index))
            others.setdefault(made.other)
            if len(made.data) < _LONGEST:
                raw = bytes([list(others).index(made.other) % 256]) + made.data
                (folder / hashlib.sha1(raw).hexdigest()).write_bytes(raw)
        self.others = list(others)[:256]

    def made(self, raw: bytes) -> Input:
        """The input of these bytes: the first says which second operand there is."""
        from tests.fuzz.outcome import Input

        return Input("coverage", raw[1:], self.others[raw[0] % len(self.others)] if raw else b"")

    def one(self, raw: bytes) -> None:
        """Read one input, and end the process where the time is over."""
        if time.process_time() > self.end:
            Path(self.asked.tally).write_bytes(pickle.dumps(self.loop.tally))
            os._exit(0)
        made = self.made(raw)
        ran = self.worker.run_input(self.reader, made)
        self.loop.count(self.count, made, ran)
        self.count += 1
        if ran.kind:
            self._keep(made, ran.kind, ran.text)
            Path(self.asked.tally).write_bytes(pickle.dumps(self.loop.tally))

    def _keep(self, made: Input, kind: str, text: str) -> None:
        """The first input of each kind of finding, by the place in msixtool that it comes from."""
        from tests.fuzz import report

        finding = self.loop.tally.findings[-1]
        identity = report.identity(finding)
        if identity not in self.known:
            self.known.add(identity)
            self.worker.keep_input(self.asked.keep, finding, made)
        else:
            self.loop.tally.findings.pop()

    def mutate(self, raw: bytes, most: int, seed: int) -> bytes:
        """libFuzzer's change, that of the harness for these bytes, or something of the harness's own."""
        import atheris

        rng = Random(seed)
        how = rng.random()
        if how < 0.3 or not raw:
            return bytes(atheris.Mutate(raw, most))
        if how < 0.9:
            return raw[:1] + self.reader.mutate(rng, raw[1:] or b"\0")[: most - 1]
        made = self.reader.make(rng)
        which = self.others.index(made.other) if made.other in self.others else raw[0]
        return bytes([which]) + made.data[: most - 1]


def main(arguments: Sequence[str] | None = None) -> None:
    """The process of one reader. Ends with status 0 when its time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.coverage")
    parser.add_argument("reader", choices=READERS)
    for name in ("--tally", "--artifacts", "--corpus", "--keep"):
        parser.add_argument(name)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args(arguments)

    import atheris

    with atheris.instrument_imports(include=["msixtool"]):
        target = _Target(asked)
        target.seeds(Path(asked.corpus))
        target.worker.CPU_LIMIT *= 2  # What counts what it reaches takes about twice as long.
        target.worker.set_alarms()
        target.worker.prepare(target.reader)
        target.worker.MEMORY_LIMIT += target.worker.peak_memory()  # What counts takes some 150 MiB itself.
        words = [f"-seed={asked.seed}", f"-max_len={_LONGEST}", "-timeout=0", "-rss_limit_mb=0"]
        words += [f"-artifact_prefix={asked.artifacts}", "-handle_int=0", "-handle_term=0", asked.corpus]
        atheris.Setup([sys.argv[0], *words], target.one, custom_mutator=target.mutate)
        # Its own alarm would take the place of ours.
        target.worker.set_alarms()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
