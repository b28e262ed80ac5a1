"""Where an output cannot be, must not be, or fails on the way: one line, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump, OutputError, forge
from msixtool.cli.signals import NUMBERS, end_in_order
from msixtool.output import unfinished
from msixtool.output.files import create, write_file
from msixtool.spec import Spec
from tests.cli.conftest import Result, msixtool  # noqa: F401

Tool = Callable[..., Result]

NOBODY = 65534
SAVE = ("save", "base", "-d", "e1000e", "-o")
COMMANDS = [SAVE, ("load", "base", "-o"), ("forge", "base", "-d", "e1000e", "--pending", "3", "-o")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, raw_sample: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a base in it."""
    raw_sample.rename(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path | str = ".") -> list[str]:
    return sorted(os.listdir(folder))


def process(
    *arguments: str, stdin: int | None = None, shell: str = "", timeout: int = 60
) -> subprocess.CompletedProcess[str]:
    """msixtool in a process of its own; `shell` stands behind it in a shell command."""
    command: list[str] = [sys.executable, "-m", "msixtool", *arguments]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *command]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=timeout)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Something mounted on a new folder; skips where that is not allowed."""
    folder.mkdir()
    run = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if run.returncode:
        pytest.skip(f"nothing can be mounted here: {run.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def written(path: str, happen: Callable[[], object], **more: Any) -> None:
    """Write an output, amid which something happens."""
    with create(path, **more) as out:
        out.write(b"x")
        happen()


# What is refused before anything is read


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "the output has no name"),
        ("taken/out", "taken/out: cannot be written: found Not a directory"),
        ("gone/out", "gone/out: cannot be written: found no such directory"),
        (".", ".: is a directory"),
        ("n" * 300, "cannot be written: found File name too long"),
        ("loop", "loop: cannot be written: found Too many levels of symbolic links"),
        ("dangling", "dangling: is a symbolic link to nothing: expected a file, or nothing"),
        ("taken", "taken: is there already: --force writes over it"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_cannot_be_the_output_is_said_before_the_input_is_read(
    msixtool: Tool,  # noqa: F811
    command: tuple[str, ...],
    output: str,
    words: str,
) -> None:
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("gone/out")
    Path("taken").write_text("taken")
    Path("base").unlink()
    result = msixtool(*command, output)
    assert result.status == 2
    assert words in result.error_line
    assert names() == ["dangling", "loop", "taken"]
    assert Path("taken").read_text() == "taken"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("name", ["base", "./base", "hard", "symbolic", "/proc/self/fd/{}"])
def test_the_output_is_never_the_input_by_whatever_name(
    msixtool: Tool,  # noqa: F811
    command: tuple[str, ...],
    name: str,
) -> None:
    Path("hard").hardlink_to("base")
    Path("symbolic").symlink_to("base")
    before = Path("base").read_bytes()
    with open("base", "rb") as file:
        for force in ([], ["--force"]):
            result = msixtool(*command, name.format(file.fileno()), *force)
            assert result.status == 2
            assert "the output is an input" in result.error_line
    assert Path("base").read_bytes() == before
    assert names() == ["base", "hard", "symbolic"]


def test_the_output_is_not_the_input_mounted_elsewhere(msixtool: Tool) -> None:  # noqa: F811
    before = Path("base").read_bytes()
    with mounted(Path("bound"), "--bind", "."):
        result = msixtool(*SAVE, "bound/base", "--force")
    assert (result.status, "the output is an input" in result.error_line) == (2, True)
    assert Path("base").read_bytes() == before


def test_standard_output_that_appends_to_the_input_is_refused() -> None:
    before = Path("base").read_bytes()
    run = process(*SAVE, "-", shell=">> base")
    assert (run.returncode, run.stderr) == (2, "msixtool: -: the output is an input: expected another file\n")
    assert Path("base").read_bytes() == before


def test_a_read_only_file_system_is_named() -> None:
    with (
        mounted(Path("fixed"), "-t", "tmpfs", "-o", "ro", "none"),
        pytest.raises(OutputError, match=r"fixed/out: cannot be written: found Read-only file system"),
    ):
        write_file("fixed/out", b"x")


def test_a_directory_that_may_not_be_written_to_is_named() -> None:
    with tempfile.TemporaryDirectory(prefix="msixtool-") as name:
        os.chmod(name, 0o555)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:  # Root may write anywhere, so this one is root no more.
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setresgid(NOBODY, NOBODY, NOBODY)
                    os.setresuid(NOBODY, NOBODY, NOBODY)
                write_file(f"{name}/out", b"x", force=True)
            except BaseException as error:
                os.write(writer, f"{type(error).__name__} {error}".encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as file:
            assert file.read() == (
                f"OutputError {name}/out: cannot be written: found Permission denied (directory {name})"
            )
        os.waitpid(child, 0)


# What happens on the way


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_full_disk_leaves_neither_an_output_nor_a_temporary_file(
    monkeypatch: pytest.MonkeyPatch, named: bool, packed: bool
) -> None:
    if named:
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    if packed:
        subprocess.run(["gzip", "-1", "base"], check=True)
        Path("base.gz").rename("base")
    before = Path("base").read_bytes()
    with mounted(Path("small"), "-t", "tmpfs", "-o", "size=64k", "none") as small:
        with pytest.raises(OutputError, match=r"small/out: cannot be written: found No space left on device"):
            forge("base", Spec(), "small/out")
        assert names(small) == []
        (small / "out").write_bytes(b"old")
        with pytest.raises(OutputError, match="No space left on device"):
            forge("base", Spec(), "small/out", force=True)
        assert names(small) == ["out"]
        assert (small / "out").read_bytes() == b"old"
    assert Path("base").read_bytes() == before


def test_what_a_network_file_system_tells_at_a_close_comes_before_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.close

    def close(descriptor: int) -> None:
        real(descriptor)
        monkeypatch.setattr(os, "close", real)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with pytest.raises(OutputError, match=r"out: cannot be written: found Disk quota exceeded"):
        written("out", lambda: monkeypatch.setattr(os, "close", close))
    assert names() == ["base"]


def test_what_cannot_be_made_again_is_on_the_disk_before_it_has_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, bool]] = []
    for name in ("fsync", "link"):
        real = getattr(os, name)

        def call(
            *arguments: object, name: str = name, real: Callable[..., None] = real, **more: object
        ) -> None:
            done.append((name, Path("out").exists()))
            real(*arguments, **more)

        monkeypatch.setattr(os, name, call)
    written("out", lambda: done.clear(), durable=True)
    # The name stands in the directory, which is on the disk only when it is asked for, too.
    assert done == [("fsync", False), ("link", False), ("fsync", True)]


@pytest.mark.parametrize("named", [False, True])
def test_a_directory_that_goes_meanwhile_is_one_line(monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    if named:
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    Path("inner").mkdir()
    with pytest.raises(OutputError, match="inner/out: cannot be written: found no such directory"):
        written("inner/out", lambda: shutil.rmtree("inner"))
    assert names() == ["base"]


@pytest.mark.parametrize(("named", "links"), [(False, True), (True, True), (True, False)])
def test_what_appears_at_the_last_moment_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch, named: bool, links: bool
) -> None:
    """Between the last look and the name: only a call that does both at once can tell."""
    if named:
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    real = os.link

    def link(*arguments: object, **more: object) -> None:
        Path("out").write_text("another's")
        if not links:
            raise PermissionError(errno.EPERM, "no links here")
        real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OutputError, match="out: is there already: --force writes over it"):
        write_file("out", b"x")
    assert Path("out").read_text() == "another's"
    assert names() == ["base", "out"]


@pytest.mark.parametrize("call", ["open", "link"])
def test_a_signal_right_behind_the_call_that_made_a_name_leaves_none(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The name is known by then, though the call has not come back."""
    Path("out").write_bytes(b"old")
    if call == "open":
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    real = getattr(os, call)

    def struck(*arguments: Any, **more: Any) -> int:
        made: int = real(*arguments, **more)
        if call == "link" or arguments[1] & os.O_EXCL:
            assert len(names()) == 3
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(os, call, struck)
    with pytest.raises(KeyboardInterrupt):
        write_file("out", b"x", force=True)
    assert names() == ["base", "out"]
    assert Path("out").read_bytes() == b"old"


def test_an_input_that_takes_the_name_of_the_output_meanwhile_is_not_written_over() -> None:
    before = Path("base").read_bytes()
    with pytest.raises(OutputError, match="the output is an input"):
        written("out", lambda: Path("out").hardlink_to("base"), force=True, inputs=["base"])
    assert Path("out").read_bytes() == before


def test_a_directory_that_takes_the_name_meanwhile_is_one_line() -> None:
    with pytest.raises(OutputError, match="out: is a directory"):
        written("out", lambda: Path("out").mkdir(), force=True)
    assert names() == ["base", "out"]


# What takes the place of another file


@pytest.mark.parametrize("named", [False, True])
def test_a_file_of_ones_own_keeps_its_group_and_its_permissions(
    monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    if named:
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    out = Path("out")
    out.write_bytes(b"secret")
    out.chmod(0o640)
    owner = (os.getuid(), NOBODY if os.getuid() == 0 else os.getgid())
    os.chown(out, *owner)
    with create("out", force=True) as made:
        made.write(b"new")
        for name in set(names()) - {"base", "out"}:
            assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    status = out.stat()
    assert (out.read_bytes(), stat.S_IMODE(status.st_mode)) == (b"new", 0o640)
    assert (status.st_uid, status.st_gid) == owner


@pytest.mark.skipif(os.getuid() != 0, reason="only root has files of two users")
def test_who_owned_the_file_before_does_not_get_what_takes_its_place() -> None:
    out = Path("out")
    out.write_bytes(b"planted")
    out.chmod(0o666)
    os.chown(out, NOBODY, NOBODY)
    with create("out", force=True) as made:
        made.write(b"secret")
    assert (out.stat().st_uid, stat.S_IMODE(out.stat().st_mode)) == (0, 0o600)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("there", [None, 0o644])
def test_nobody_can_read_more_of_an_output_than_of_its_input(
    monkeypatch: pytest.MonkeyPatch, named: bool, there: int | None
) -> None:
    if named:
        monkeypatch.setattr(unfinished, "DESCRIPTORS", "/none")
    Path("secret").write_bytes(b"memory")
    for mode in (0o600, 0o640, 0o644, 0o400):
        Path("out").unlink(missing_ok=True)
        Path("secret").chmod(mode)
        if there is not None:
            Path("out").touch()
            Path("out").chmod(there)
        with create("out", force=True, inputs=["secret"]) as made:
            made.write(b"memory")
        assert stat.S_IMODE(os.stat("out").st_mode) == mode | 0o600


def test_a_file_of_another_group_opens_nothing_to_ones_own() -> None:
    if os.getuid() != 0:
        pytest.skip("only root has files of two groups")
    Path("secret").write_bytes(b"memory")
    os.chown("secret", 0, NOBODY)
    Path("secret").chmod(0o640)
    with create("out", inputs=["secret"]) as made:
        made.write(b"memory")
    assert stat.S_IMODE(os.stat("out").st_mode) == 0o600


@pytest.mark.parametrize("force", [False, True])
def test_a_link_to_nothing_is_not_followed(force: bool) -> None:
    os.symlink("planted", "out")
    with pytest.raises(OutputError, match="out: is a symbolic link to nothing"):
        write_file("out", b"x", force=force)
    assert not os.path.lexists("planted")


def test_a_link_that_is_put_there_meanwhile_is_not_followed() -> None:
    with pytest.raises(OutputError):
        written("out", lambda: os.symlink("planted", "out"))
    assert not os.path.lexists("planted")


@pytest.mark.parametrize("character", ["x", "é", "漢"])
def test_a_name_as_long_as_names_may_be_is_written_and_written_over(
    monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    name = character * (255 // len(character.encode()))
    for descriptors in (unfinished.DESCRIPTORS, "/none"):
        monkeypatch.setattr(unfinished, "DESCRIPTORS", descriptors)
        write_file(name, b"one", force=True)
        write_file(name, b"two", force=True)
        assert Path(name).read_bytes() == b"two"
        assert len(names()) == 2


# Pipes and devices


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_pipe_by_the_name_of_its_descriptor(name: str) -> None:
    assert process(*SAVE, name, shell="| wc -c").stdout.strip() == "81"


def test_a_named_pipe_whose_reader_leaves_is_an_error_and_standard_output_is_not() -> None:
    stack = ExitStack()
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    out = stack.enter_context(create("pipe"))
    os.close(reader)
    with pytest.raises(OutputError, match="pipe: cannot be written: found Broken pipe"):
        out.write(b"x")
    stack.close()
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    run = process("forge", "base", "-o", "-", shell="| head -c 4")
    assert (run.returncode, run.stdout) == (0, "QEVM")


def test_devices(msixtool: Tool) -> None:  # noqa: F811
    assert msixtool(*SAVE, "/dev/null").status == 0
    result = msixtool(*SAVE, "/dev/full")
    assert (result.status, result.error_line) == (
        2,
        "msixtool: /dev/full: cannot be written: found No space left on device",
    )


# Standard output


@pytest.mark.parametrize("arguments", [("inspect", "base"), ("show", "base", "--json"), (*SAVE, "-")])
@pytest.mark.parametrize(
    ("shell", "words"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_a_standard_output_that_cannot_be_written_is_one_line(
    arguments: tuple[str, ...], shell: str, words: str
) -> None:
    run = process(*arguments, shell=shell)
    line = f"msixtool: standard output: cannot be written: found {words}\n"
    assert (run.returncode, run.stderr) == (2, line)


def test_what_is_said_nowhere_changes_no_status() -> None:
    assert process("inspect", "gone", shell="2>&-").returncode == 2
    assert process("inspect", "gone", shell="2> /dev/full").returncode == 2
    run = process(*SAVE, "out", shell=">&- 2>&- <&-")
    assert (run.returncode, len(Path("out").read_bytes())) == (0, 81)


def test_a_load_is_written_though_nobody_reads_the_report() -> None:
    run = process("load", "base", "--json", "-o", "out", shell="| head -c 1")
    assert (run.returncode, run.stdout) == (0, "{")
    with Dump.open("out") as dump:
        assert (len(dump.devices), dump.damage) == (4, [])


def test_a_load_out_of_a_pipe_is_written(msixtool: Tool) -> None:  # noqa: F811
    assert msixtool("load", "base", "-o", "expected").status == 0
    run = process("load", "-", "-o", "out", shell="< <(cat base)")
    assert (run.returncode, run.stderr) == (0, "")
    assert Path("out").read_bytes() == Path("expected").read_bytes()


def test_a_load_whose_state_cannot_be_told_from_its_report_is_refused(msixtool: Tool) -> None:  # noqa: F811
    result = msixtool("load", "base", "-o", "-")
    assert (result.status, result.out) == (2, "")
    assert "the report of the load goes to standard output: expected -o FILE" in result.error_line


def test_a_load_of_a_damaged_stream_says_that_nothing_is_written(msixtool: Tool) -> None:  # noqa: F811
    os.truncate("base", Path("base").stat().st_size - 100)
    result = msixtool("load", "base", "-o", "out")
    assert result.status == 2
    assert result.err.splitlines()[-1] == "msixtool: out: not written, for base is damaged"
    assert names() == ["base"]


# Signals


@end_in_order()
def signalled(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_signals_become_exceptions_for_the_length_of_a_command_but_for_those_that_are_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handlers = [signal.getsignal(number) for number in NUMBERS]
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            signalled(signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
        assert raised.value.args == (signal.SIGTERM,)
        assert [signal.getsignal(number) for number in NUMBERS] == handlers
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_amid_reading_ends_a_command_with_one_line() -> None:
    os.mkfifo("pipe")
    command = [sys.executable, "-m", "msixtool", "inspect", "pipe"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        with open("pipe", "wb"):  # opens as soon as msixtool reads
            running.send_signal(signal.SIGINT)
            assert running.wait(120) == -signal.SIGINT
        assert running.stderr is not None
        assert running.stderr.read() == "msixtool: ended by SIGINT\n"
