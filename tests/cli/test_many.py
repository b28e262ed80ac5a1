"""Folders and several files, from outside: order, documents, tables, statuses, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from msixtool.fleet.walk import FoundFile, Walk
from tests.cli.conftest import Result
from tests.conftest import REPOSITORY, SAMPLES, unpacked

Tool = Callable[..., Result]

THREE = REPOSITORY / "samples" / "q35-net-3-vectors-7.2.mig.xz"
COMMANDS = {"inspect": [], "validate": [], "compat": [THREE]}
"""What stands behind the sources on each command line."""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A folder of streams in subfolders, one of them damaged, among files that are none."""
    folder = tmp_path / "fleet"
    for host, samples in (("host-b", SAMPLES[:2]), ("host-a", SAMPLES[2:4])):
        (folder / host).mkdir(parents=True)
        for number, sample in enumerate(samples):
            shutil.copy(sample, folder / host / f"vm{number}.mig.xz")
    data = unpacked(SAMPLES[4])
    (folder / "cut.mig").write_bytes(data[: len(data) // 2])
    (folder / "notes.txt").write_text("nothing\n")
    (folder / "host-a" / "domain.xml").write_text("<domain/>\n")
    (folder / ".half-written").write_bytes(b"QEVM")
    return folder


def in_order(fleet: Path) -> list[str]:
    """The streams of the folder in the order of their paths."""
    files = [path for path in fleet.rglob("*") if path.suffix in (".xz", ".mig") and path.is_file()]
    return [str(path) for path in sorted(files)]


def documents(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_a_folder_gives_the_document_of_each_stream_in_the_order_of_paths(
    msixtool: Tool, fleet: Path, command: str, jobs: int
) -> None:
    behind = COMMANDS[command]
    alone = [msixtool(command, "--json", path, *behind).json for path in in_order(fleet)]
    with shell(command, "--json", "--jobs", jobs, fleet, *behind) as run:
        out, _ = run.communicate(timeout=120)
    assert [json.loads(line) for line in out.splitlines()] == alone
    assert len(alone) == 5


@pytest.mark.parametrize("command", COMMANDS)
def test_files_and_folders_stand_where_they_are_named(msixtool: Tool, fleet: Path, command: str) -> None:
    last, first = SAMPLES[-1], fleet / "cut.mig"
    result = msixtool(command, "--json", first, fleet / "host-b", last, first, *COMMANDS[command])
    paths = [document["source"]["path"] for document in documents(result)]
    assert paths == [str(first), *in_order(fleet)[3:], str(last), str(first)]


def test_one_stream_in_a_folder_is_a_line_too(msixtool: Tool, tmp_path: Path) -> None:
    shutil.copy(THREE, tmp_path)
    assert len(msixtool("inspect", "--json", tmp_path).out.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_has_a_row_for_each_stream_and_fits_into_80_columns(
    msixtool: Tool, fleet: Path, command: str
) -> None:
    result = msixtool(command, fleet, *COMMANDS[command])
    place, *lines = result.out.splitlines()
    assert place == f"{fleet}:"
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Stream ")
    for path in in_order(fleet):
        assert sum(line.startswith(os.path.relpath(path, fleet)) for line in lines) == 1
    assert lines[lines.index("") + 1].startswith("5 streams")
    assert "\x1b" not in result.out


def test_the_table_of_inspect_says_what_each_stream_holds_and_what_all_hold(
    msixtool: Tool, fleet: Path
) -> None:
    result = msixtool("inspect", fleet)
    rows = {words[0]: words[1:] for words in map(str.split, result.out.splitlines()) if words}
    vectors = 0
    for document in documents(msixtool("inspect", "--json", fleet)):
        devices = document["devices"]
        row = rows[os.path.relpath(document["source"]["path"], fleet)]
        assert row[0] == document["stream"]["machine"]
        assert row[2:4] == [str(len(devices)), str(sum(device["vectors"] for device in devices))]
        assert row[4] == str(sum(device["pending"] for device in devices))
        assert row[5] == str(len(document["damage"]) or "-")
        vectors += sum(device["vectors"] for device in devices)
    assert "1 damaged" in result.out
    assert f" {vectors:,} vectors" in result.out


def test_the_table_of_validate_counts_findings_and_streams_by_rule(msixtool: Tool, fleet: Path) -> None:
    result = msixtool("validate", fleet)
    assert result.status == 1
    (row,) = [line.split() for line in result.out.splitlines() if line.startswith("cut.mig")]
    assert row[1] == "1"
    assert "truncated" in " ".join(row)
    assert "1 with errors" in result.out
    assert "     1  error truncated: 1 finding" in result.out.splitlines()
    assert "error" not in msixtool("validate", "--ignore", "truncated", fleet / "cut.mig").out


def test_a_row_that_is_too_long_for_its_name_puts_it_on_a_line_of_its_own(
    msixtool: Tool, tmp_path: Path
) -> None:
    long = tmp_path / ("a-very-long-name-of-a-virtual-machine" + ".mig.xz")
    shutil.copy(THREE, long)
    lines = msixtool("inspect", tmp_path).out.splitlines()
    assert lines[2] == long.name
    assert lines[3].split()[0] == "pc-q35-7.2"


def test_several_named_files_are_shown_in_full(msixtool: Tool) -> None:
    out = msixtool("inspect", SAMPLES[0], SAMPLES[1]).out
    assert out == msixtool("inspect", SAMPLES[0]).out + msixtool("inspect", SAMPLES[1]).out


def test_sections_of_a_folder_are_listed_in_full(msixtool: Tool, tmp_path: Path) -> None:
    shutil.copy(THREE, tmp_path)
    copy = tmp_path / THREE.name
    assert msixtool("inspect", "--sections", tmp_path).out == msixtool("inspect", "--sections", copy).out


def test_damage_is_named_once_and_stands_in_the_document(msixtool: Tool, fleet: Path) -> None:
    result = msixtool("inspect", "--json", fleet)
    assert result.status == 2
    (damaged,) = [document for document in documents(result) if document["damage"]]
    assert damaged["source"]["path"] == str(fleet / "cut.mig")
    named = [line for line in result.err.splitlines() if "damaged" in line]
    assert len(named) == 1
    assert str(fleet / "cut.mig") in named[0]


def test_what_is_no_stream_is_left_out_where_it_was_found_and_an_error_where_it_was_named(
    msixtool: Tool, fleet: Path
) -> None:
    (fleet / "cut.mig").unlink()
    found = msixtool("inspect", "--json", fleet)
    assert found.status == 0
    assert found.error_line.startswith("msixtool: left out: 2 no stream (")
    assert f"{fleet}/host-a/domain.xml" in found.error_line
    assert "1 hidden" in found.error_line
    named = msixtool("inspect", "--json", fleet, fleet / "notes.txt")
    assert named.status == 2
    assert named.out == found.out
    assert f"{fleet}/notes.txt: no QEMU migration stream" in named.err


def test_a_disk_image_without_vm_state_is_no_stream(msixtool: Tool, fleet: Path) -> None:
    (fleet / "cut.mig").unlink()
    packed = REPOSITORY / "tests" / "data" / "containers" / "disk-only.qcow2.xz"
    (fleet / "disk.qcow2").write_bytes(unpacked(packed))
    result = msixtool("inspect", "--json", fleet)
    assert (result.status, len(documents(result))) == (0, 4)
    assert "3 no stream" in result.error_line


def test_special_files_are_never_opened(msixtool: Tool, fleet: Path) -> None:
    """A FIFO that was opened would hang this test."""
    os.mkfifo(fleet / "fifo")
    (fleet / "host-b" / "loop").symlink_to("..")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(fleet / "monitor"))
        result = msixtool("validate", "--json", fleet)
    assert len(documents(result)) == 5
    assert "2 FIFO, socket or device" in result.error_line
    assert "1 link to a folder" in result.error_line


def test_a_folder_without_a_stream_is_an_error(msixtool: Tool, tmp_path: Path) -> None:
    for content in (None, b"", b"text"):
        if content is not None:
            (tmp_path / "file").write_bytes(content)
        result = msixtool("inspect", tmp_path)
        assert (result.status, result.out.splitlines()[2:]) == (2, [])
        assert result.err.splitlines()[-1] == f"msixtool: {tmp_path}: no stream in this directory"


def test_a_file_that_vanishes_is_named_and_the_others_go_on(
    msixtool: Tool, fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(fleet / "gone.mig")
    inputs = [FoundFile(path, found=True) for path in (in_order(fleet)[1], gone, in_order(fleet)[2])]
    monkeypatch.setattr("msixtool.cli.many.walk", lambda _: Walk(inputs))
    result = msixtool("inspect", "--json", fleet)
    assert (result.status, len(documents(result))) == (2, 2)
    assert f"{gone}: cannot be opened: found No such file" in result.error_line


def test_the_worst_status_wins(msixtool: Tool, fleet: Path) -> None:
    sound, odd = fleet / "host-b", fleet / "cut.mig"
    assert msixtool("validate", sound).status == 0
    assert msixtool("validate", sound, odd).status == 1
    assert msixtool("validate", odd, fleet / "missing", sound).status == 2
    assert msixtool("compat", THREE, THREE, THREE).status == 0
    assert msixtool("compat", THREE, sound, THREE).status == 1
    assert msixtool("compat", THREE, fleet, THREE).status == 2


def test_a_defect_is_named_with_its_file_and_the_others_go_on(
    msixtool: Tool, fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msixtool import Dump

    opened, bad = Dump.open, in_order(fleet)[2]

    def broken(path: str, **options: Any) -> Dump:
        if path == bad:
            raise ZeroDivisionError("on purpose")
        return opened(path, **options)

    monkeypatch.setattr("msixtool.Dump.open", broken)
    result = msixtool("inspect", "--json", fleet / "host-a", fleet / "host-b")
    assert (result.status, len(documents(result))) == (3, 3)
    assert f"{bad}: defect: ZeroDivisionError: on purpose" in result.err


def test_memory_that_runs_out_is_one_line(
    msixtool: Tool, fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("msixtool.dump.OpenDump.open", full)
    result = msixtool("inspect", fleet / "cut.mig", fleet / "cut.mig")
    assert result.status == 2
    assert result.err == f"msixtool: {fleet}/cut.mig: there is not enough memory to read it\n" * 2


@pytest.mark.parametrize("packed", [True, False])
def test_the_target_of_many_may_be_a_pipe(packed: bool, fleet: Path) -> None:
    target = THREE.read_bytes() if packed else unpacked(THREE)
    with shell("compat", "--json", "--jobs", 2, fleet, "-", stdin=subprocess.PIPE) as run:
        out, _ = run.communicate(target, timeout=120)
    loads = {
        os.path.basename(d["source"]["path"]): d["compatible"] for d in map(json.loads, out.splitlines())
    }
    assert (len(loads), loads["cut.mig"]) == (3, False)
    assert len(out.splitlines()) == 5
    assert all(json.loads(line)["target"]["path"] == "-" for line in out.splitlines())


def test_trials_are_made_by_one_process_one_after_another() -> None:
    """Each starts a QEMU, and disks are for one at a time."""
    from msixtool import Dump
    from msixtool.library.compatibility import _Said, _Stream

    with Dump.open(THREE) as target, THREE.open("rb") as file, Dump.open(io.BytesIO(file.read())) as memory:
        assert _Stream(target, _Said()).shared
        assert not _Stream(target, _Said(), command=["qemu-system-x86_64"]).shared
        assert not _Stream(memory, _Said()).shared


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_an_impossible_number_of_jobs_is_wrong_use(msixtool: Tool, jobs: str) -> None:
    result = msixtool("inspect", "--jobs", jobs, THREE)
    assert result.status == 2
    assert "--jobs" in result.error_line


def test_names_that_would_disturb_a_terminal_are_escaped(msixtool: Tool, tmp_path: Path) -> None:
    shutil.copy(THREE, tmp_path / "a\x1b[2J\nb")
    out = msixtool("inspect", tmp_path).out
    assert "\x1b" not in out
    assert "a\\x1b[2J b" in out


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""The environment of a person: output into a pipe is buffered."""


def shell(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """The command in a process, and process group, of its own."""
    command = [sys.executable, "-m", "msixtool", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": BUFFERED}
    return subprocess.Popen(command, start_new_session=True, **(pipes | options))


def test_a_name_that_is_no_utf8_comes_back_whole_from_json(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mig")
    shutil.copy(THREE, name)
    with shell("inspect", "--json", tmp_path, env=BUFFERED | {"PYTHONIOENCODING": "utf-8:strict"}) as run:
        out, err = run.communicate(timeout=120)
    assert (run.returncode, err) == (0, b"")
    assert os.fsencode(json.loads(out.decode("utf-8"))["source"]["path"]) == name


@dataclass
class Held:
    """`validate --json SAMPLE FIFO SAMPLE`, at work on the FIFO."""

    run: subprocess.Popen[bytes]
    fifo: str
    writer: IO[bytes]
    out: IO[bytes]

    @property
    def workers(self) -> list[int]:
        pid = self.run.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def reader(self) -> int:
        """The process that has the FIFO open."""
        for pid in self.workers:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # Closed since it was listed.
                    if os.readlink(descriptor) == self.fifo:
                        return pid
        raise AssertionError("nobody reads the FIFO")

    def has_reader(self) -> bool:
        try:
            os.write(self.writer.fileno(), b"Q")
        except BrokenPipeError:
            return False
        return True


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    """Start `validate --json OPTIONS SAMPLE FIFO SAMPLE`; it waits for what is written into the FIFO."""
    with ExitStack() as stack:

        def start(*options: object) -> Held:
            fifo = str(tmp_path / "held.mig")
            os.mkfifo(fifo)
            run = stack.enter_context(shell("validate", "--json", *options, SAMPLES[0], fifo, SAMPLES[1]))
            stack.callback(run.kill)
            writer = stack.enter_context(open(fifo, "wb", buffering=0))
            assert run.stdout is not None
            return Held(run, fifo, writer, run.stdout)

        yield start


def test_a_document_is_printed_before_the_next_is_ready(held: Callable[..., Held]) -> None:
    out = held().out
    assert select.select([out], [], [], 20)[0] == [out]
    assert json.loads(out.readline())["source"]["path"] == str(SAMPLES[0])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_is_killed_is_named_with_its_file_and_the_rest_goes_on(
    held: Callable[..., Held], jobs: int
) -> None:
    work = held("--jobs", jobs)
    os.kill(work.reader(), signal.SIGKILL)
    out, err = work.run.communicate(timeout=120)
    paths = [json.loads(line)["source"]["path"] for line in out.splitlines()]
    assert (work.run.returncode, paths) == (2, [str(SAMPLES[0]), str(SAMPLES[1])])
    assert err.decode() == (
        f"msixtool: {work.fifo}: the process that read it was killed by SIGKILL: perhaps memory ran out\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_processes_at_once(held: Callable[..., Held], number: signal.Signals) -> None:
    work = held()
    work.out.readline()
    workers = work.workers
    # A terminal sends its signals to all processes, `kill` to one.
    (os.kill if number == signal.SIGTERM else os.killpg)(work.run.pid, number)
    _, err = work.run.communicate(timeout=120)
    assert work.run.returncode == -number
    assert err.decode() == f"msixtool: ended by {number.name}\n"
    assert not work.has_reader()
    assert [pid for pid in workers if os.path.exists(f"/proc/{pid}")] == []


def test_workers_do_not_outlive_a_parent_that_is_killed(held: Callable[..., Held]) -> None:
    """Those that have nothing to do end at once, one at work when it is done."""
    work = held("--jobs", 2)
    busy = work.reader()
    (idle,) = set(work.workers) - {busy}
    handles = [os.pidfd_open(pid) for pid in (idle, busy)]
    work.run.kill()
    for handle in handles:
        ended, _, _ = select.select([handle], [], [], 20)
        assert ended == [handle]
        os.close(handle)
        work.writer.close()


def test_a_reader_that_goes_away_ends_it_quietly(held: Callable[..., Held]) -> None:
    work = held()
    work.out.readline()
    work.out.close()
    os.write(work.writer.fileno(), unpacked(THREE)[:4096])
    work.writer.close()
    assert work.run.wait(120) == 0
    assert work.run.stderr is not None
    assert work.run.stderr.read() == b""


AT_FORK = "import os, sys; os.register_at_fork(before=lambda: print('a fork', file=sys.stderr)); "
"""A program that tells of each process that it is copied into."""


def program(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in Python, in a process of its own, with its warnings for errors."""
    command = [sys.executable, "-W", "error", "-c", AT_FORK + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_one_file_needs_no_other_process(sample: Path) -> None:
    code = "from msixtool.cli import run; sys.exit(run(sys.argv[1:]))"
    assert "a fork" not in program(code, "inspect", "--json", sample).stderr
    assert "a fork" in program(code, "inspect", "--json", sample, sample).stderr


def test_a_program_with_threads_is_not_copied(fleet: Path) -> None:
    """What it answers is the same."""
    code = (
        "import threading; from msixtool.cli import run; end = threading.Event(); "
        "other = threading.Thread(target=end.wait); other.start(); "
        "status = run(['inspect', '--json', '--jobs', '2', sys.argv[1]]); end.set(); sys.exit(status)"
    )
    with shell("inspect", "--json", "--jobs", 2, fleet) as alone:
        out, _ = alone.communicate(timeout=120)
    ran = program(code, fleet)
    assert (ran.returncode, ran.stdout) == (alone.returncode, out.decode())
    assert "a fork" not in ran.stderr
