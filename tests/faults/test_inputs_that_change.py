"""A file that changes while it is read is named, with status 2, at whatever moment it happens."""

from __future__ import annotations

import errno
import gzip
import io
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from msixtool import Dump, InputError, OutputError, forge
from msixtool.containers.file import FileSource, ObjectSource, read_whole
from msixtool.spec import Spec, read_spec
from tests.cli.conftest import Result, msixtool  # noqa: F401
from tests.conftest import REPOSITORY
from tests.faults import changes
from tests.faults.changes import CHANGES, HARMLESS, Change, Moment, fresh, moment  # noqa: F401

Tool = Callable[..., Result]

CONTAINERS = REPOSITORY / "tests" / "data" / "containers"
MAPPED_RAM = REPOSITORY / "tests" / "data" / "rare" / "mapped-ram-offset-11.1.mig.xz"

COMMANDS: dict[str, list[str]] = {
    "inspect": ["--json"],
    "show": ["--json"],
    "fields": ["--json"],
    "validate": ["--json"],
    "load": ["--json"],
    "save": ["--device", "e1000e", "-o", "OUT"],
    "forge": ["--device", "e1000e", "--pending", "3", "-o", "OUT"],
}
"""Arguments behind the name of the file; OUT is the output's."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(sample: Path) -> bytes:
    return lzma.decompress(sample.read_bytes())


def run(tool: Tool, command: str, file: Path) -> Result:
    return tool(command, file, *COMMANDS[command])


def assert_named(result: Result, words: str, file: Path) -> None:
    """Nothing of a changed file is told as if it were true: one line and status 2."""
    assert (result.status, result.out) == (2, "")
    assert f"{file}: " in result.error_line or f"{file}, offset" in result.error_line
    assert words in result.error_line
    assert not Path("OUT").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_a_change_at_any_moment(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
    command: str,
) -> None:
    file = Path("vm.mig")
    moment.before_read(0, lambda: None)
    assert run(msixtool, command, fresh(file, data)).status == 0
    Path("OUT").unlink(missing_ok=True)
    last = moment.reads
    for number in sorted({2, last // 2, last - 1, last}):
        for change, words in CHANGES.items():
            fresh(file, data)
            moment.before_read(number, lambda change=change: change(file))
            assert_named(run(msixtool, command, file), words, file)


@pytest.mark.parametrize("command", [["diff"], ["diff", "--fields"], ["compat"]], ids=" ".join)
@pytest.mark.parametrize("changed", [0, 1])
def test_either_of_two_files_is_named(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
    command: list[str],
    changed: int,
) -> None:
    files = Path("a.mig"), Path("b.mig")
    for file in files:
        fresh(file, data)
    moment.before_read(0, lambda: None)
    assert msixtool(*command, *files, "--json").status == 0
    last = moment.reads
    for number in (last // 2, last):
        for file in files:
            fresh(file, data)
        moment.before_read(number, lambda: changes.write_in_place(files[changed]))
        assert_named(msixtool(*command, *files, "--json"), "was written to", files[changed])


def test_of_several_files_the_others_are_read_on(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
) -> None:
    files = [fresh(Path(name), data) for name in ("a.mig", "b.mig", "c.mig")]
    moment.before_read(4, lambda: changes.grow(files[0]))
    result = msixtool("show", *files, "--json")
    assert result.status == 2
    assert "a.mig: has grown while it was read" in result.error_line
    told = [json.loads(line)["source"]["path"] for line in result.out.splitlines()]
    assert told == ["b.mig", "c.mig"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *(("gzip", change) for change in CHANGES),
        *(("libvirt", change) for change in CHANGES),
        ("mapped-ram", changes.grow),
    ],
)
def test_a_change_under_a_container_is_the_cause_not_the_damage_that_comes_of_it(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
    kind: str,
    change: Change,
) -> None:
    packed = {
        "gzip": lambda: gzip.compress(data, 1),
        "libvirt": lambda: lzma.decompress((CONTAINERS / "libvirt-raw.xz").read_bytes()),
        "mapped-ram": lambda: lzma.decompress(MAPPED_RAM.read_bytes()),
    }[kind]()
    offset = ["--offset", "4660"] if kind == "mapped-ram" else []
    file = fresh(Path("vm"), packed)
    moment.before_read(0, lambda: None)
    assert msixtool("show", file, *offset, "--json").status == 0
    last = moment.reads
    for number in sorted({2, last // 2, last}):
        fresh(file, packed)
        moment.before_read(number, lambda: change(file))
        assert_named(msixtool("show", file, *offset, "--json"), CHANGES[change], file)


@pytest.mark.parametrize("change", HARMLESS)
def test_what_changes_no_byte_is_no_error(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
    change: Change,
) -> None:
    file = fresh(Path("vm.mig"), data)
    moment.before_read(4, lambda: change(file))
    result = msixtool("show", file, "--json")
    assert (result.status, result.err) == (0, "")
    assert len(result.json["devices"]) == 4


def test_a_file_that_another_replaces_is_read_as_it_was_and_that_is_said(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    data: bytes,
) -> None:
    file = fresh(Path("vm.mig"), data)
    moment.before_read(4, lambda: changes.replace(file))
    result = msixtool("show", file, "--json")
    assert result.status == 0
    assert len(result.json["devices"]) == 4
    assert "vm.mig: another file took its name while it was read" in result.error_line


def test_a_change_after_the_last_look_at_a_file_is_none_of_ours(data: bytes) -> None:
    file = fresh(Path("vm.mig"), data)
    with Dump.open(file) as dump:
        assert (len(dump.devices), dump.damage) == (4, [])
        changes.grow(file)
    assert (len(dump.devices), dump.damage) == (4, [])  # it can still be asked for what it knows
    with pytest.raises(InputError, match=r"vm\.mig: has grown"), Dump.open(file) as dump:
        changes.grow(file)


def test_what_an_error_comes_of_is_named_in_its_place(data: bytes) -> None:
    file = fresh(Path("vm.mig"), data)
    dump = Dump.open(file)
    changes.empty(file)
    with pytest.raises(InputError, match=r"^vm\.mig: has become shorter"), dump:
        dump.select("no such device")


# qcow2: the image of a running VM is written to all the time


def image(name: str = "v3") -> bytes:
    return lzma.decompress((CONTAINERS / f"{name}.qcow2.xz").read_bytes())


def snapshot_table(data: bytes) -> int:
    """The offset of the snapshot table, out of the header."""
    return int.from_bytes(data[64:72], "big")


def move_table(path: Path) -> None:
    """What QEMU does when a snapshot is taken or deleted: a new table elsewhere, then the header."""
    data = path.read_bytes()
    table = data[snapshot_table(data) :][:4096]
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(bytes(-file.tell() % 65536))
        place = file.tell()
        file.write(table)
        file.seek(64)
        file.write(place.to_bytes(8, "big"))


def delete_snapshots(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(60)
        file.write(bytes(4))


def retake_snapshot(path: Path) -> None:
    """Another one in the place of the first, with the same id and name: only its date tells."""
    with Dump.open(io.BytesIO(path.read_bytes())) as dump:
        assert dump.snapshot is not None
        date = dump.snapshot.date_sec.to_bytes(4, "big") + dump.snapshot.date_nsec.to_bytes(4, "big")
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(data.index(date, snapshot_table(data)))
        file.write(b"\x7f")


@pytest.mark.parametrize("change", [changes.grow, move_table])
def test_the_image_of_a_running_vm_changes_and_the_snapshot_in_it_stands(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    change: Change,
) -> None:
    file = fresh(Path("vm.qcow2"), image())
    moment.before_read(0, lambda: None)
    before = msixtool("show", file, "--json")
    assert (before.status, before.err) == (0, "")
    last = moment.reads
    for number in (5, last):
        fresh(file, image())
        moment.before_read(number, lambda: change(file))
        result = msixtool("show", file, "--json")
        assert result.status == 0
        assert result.json["devices"] == before.json["devices"]
        assert "vm.qcow2: is written to while it is read" in result.error_line


def shave(path: Path) -> None:
    """Its last byte goes: a running VM's image does not become shorter."""
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("change", [delete_snapshots, retake_snapshot, changes.shrink, changes.empty, shave])
def test_a_snapshot_that_goes_while_it_is_read_is_named(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    change: Change,
) -> None:
    file = fresh(Path("vm.qcow2"), image())
    moment.before_read(0, lambda: None)
    assert msixtool("show", file, "--json").status == 0
    last = moment.reads
    for number in (last // 2, last):
        fresh(file, image())
        moment.before_read(number, lambda: change(file))
        assert_named(msixtool("show", file, "--json"), " while it was read", file)


def test_a_change_of_a_packed_image_is_a_change(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
) -> None:
    file = fresh(Path("vm.qcow2.gz"), gzip.compress(image(), 1))
    moment.before_read(3, lambda: changes.grow(file))
    assert_named(msixtool("show", file, "--json"), "has grown", file)


# The base of a forgery


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_base_that_changes_while_it_is_copied_leaves_no_output(
    monkeypatch: pytest.MonkeyPatch, data: bytes, change: Change, packed: bool
) -> None:
    """Its bytes go from file to file within the kernel: no reader of ours sees them."""
    base = fresh(Path("base"), gzip.compress(data, 1) if packed else data)
    name = "write" if packed else "copy_file_range"
    real = getattr(os, name)

    def copy(*arguments: object) -> int:
        copied: int = real(*arguments)
        monkeypatch.setattr(os, name, real)
        change(base)
        return copied

    monkeypatch.setattr(os, name, copy)
    with pytest.raises(InputError, match=f"^base: {CHANGES[change]}"):
        forge("base", Spec(), "OUT")
    assert sorted(path.name for path in Path().iterdir()) == ["base"]


@pytest.mark.parametrize("read", ["copy_file_range", "pread"])
def test_a_disk_that_fails_under_a_base_is_named_and_leaves_no_output(
    monkeypatch: pytest.MonkeyPatch, data: bytes, read: str
) -> None:
    fresh(Path("base"), data)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "copy_file_range", fail)
    if read == "pread":
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(InputError, match=r"^base, offset 0x0: cannot be read: found Input"):
            forge("base", Spec(), "OUT")
        assert not Path("OUT").exists()
    else:  # The kernel would not copy: then it is done by hand.
        forge("base", Spec(), "OUT")
        assert Path("OUT").read_bytes() == data


def test_a_base_whose_name_another_file_took_is_still_never_the_output(
    moment: Moment,  # noqa: F811
    data: bytes,
) -> None:
    """The file that is read from has another name by now, and that name is the output's."""
    base = fresh(Path("base"), data)

    def swap() -> None:
        base.rename("OUT")
        fresh(base, b"another")

    moment.before_read(6, swap)
    with pytest.raises(OutputError, match="the output is an input"):
        forge("base", Spec(), "OUT", force=True)
    assert Path("OUT").read_bytes() == data


def test_a_load_is_written_from_the_very_file_that_was_loaded(
    msixtool: Tool,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
) -> None:
    base = fresh(Path("base"), data)
    assert msixtool("load", base, "-o", "expected").status == 0
    opened: list[str] = []
    real = io.FileIO

    class Counted(io.FileIO):
        def __init__(self, *arguments: object, **more: object) -> None:
            opened.append(str(arguments[0]))
            super().__init__(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(io, "FileIO", Counted)
    assert msixtool("load", base, "-o", "OUT").status == 0
    monkeypatch.setattr(io, "FileIO", real)
    assert opened.count("base") == 1
    assert Path("OUT").read_bytes() == Path("expected").read_bytes()


# The layer itself


def test_small_files_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    file = fresh(Path("changes.json"), b'{"devices": []}')
    assert read_whole("changes.json", 100) == b'{"devices": []}'
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if os.path.samestat(status, file.stat()):
            monkeypatch.setattr(os, "fstat", real)
            changes.grow(file)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(InputError, match=r"changes\.json: has grown while it was read"):
        read_spec("changes.json")


def test_a_source_never_hands_out_less_as_if_that_were_all() -> None:
    file = fresh(Path("file"), bytes(1000))
    source = FileSource("file")
    os.truncate(file, 600)
    assert source.read(500, 200) == bytes(100)
    with pytest.raises(InputError, match=r"file, offset 0x258: has become shorter .*expected 1000 bytes"):
        source.read(600, 1)
    assert source.read(1000, 1) == b""
    source.close()


class Dribble(io.RawIOBase):
    """An object that gives a few bytes at a time, as a socket might, and may end too early."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.limit = len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def read(self, length: int = -1, /) -> bytes:
        return self._file.read(max(0, min(length, 7, self.limit - self._file.tell())))


def test_an_object_is_read_to_the_end_of_what_is_asked_and_its_early_end_named() -> None:
    data = bytes(range(100))
    dribble = Dribble(data)
    source = ObjectSource(dribble, "object")  # type: ignore[arg-type]
    assert source.read(10, 50) == data[10:60]
    dribble.limit = 20
    assert source.read(10, 50) == data[10:20]
    with pytest.raises(InputError, match="object, offset 0x14: has become shorter while it was read"):
        source.read(20, 1)


@pytest.mark.parametrize("buffered", [False, True])
def test_a_file_object_of_the_callers_is_watched_like_a_path(data: bytes, buffered: bool) -> None:
    path = fresh(Path("vm.mig"), data)
    with path.open("rb", buffering=-1 if buffered else 0) as file, Dump.open(file) as dump:
        dump.check_unchanged()
        changes.write_in_place(path)
        with pytest.raises(InputError, match=r"vm\.mig: was written to"):
            dump.check_unchanged()
    with gzip.open(fresh(Path("vm.gz"), gzip.compress(data, 1))) as unpacked, Dump.open(unpacked) as dump:  # type: ignore[arg-type]
        assert len(dump.devices) == 4  # its size is not that of the file below
    with Dump.open(io.BytesIO(data)) as dump:
        assert (len(dump.devices), dump.damage) == (4, [])


def test_standard_input_is_watched_where_it_is_a_file(
    msixtool: Tool,  # noqa: F811
    moment: Moment,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
) -> None:
    path = fresh(Path("vm.mig"), data)
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert msixtool("show", "-", "--json").status == 0
        file.seek(0)
        moment.before_read(4, lambda: changes.grow(path))
        assert_named(msixtool("show", "-", "--json"), "has grown", Path("-"))
