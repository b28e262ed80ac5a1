"""States made from nothing, in one call and by the pytest fixtures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from msixtool import Dump, MsixEntry, MsixState, NotAStreamError, UsageError
from msixtool.errors import FormatError
from msixtool.qemu.kinds import kinds
from msixtool.spec.saved import NAMELESS, SavedFile
from msixtool.tasks.forge_new import make_state
from tests.conftest import REPOSITORY, SAMPLES
from tests.live.devices import KINDS

FIXED = {kind.section for kind in kinds() if kind.msix is not None and kind.msix.vectors}


def test_a_state_in_one_call() -> None:
    entry = MsixEntry(0xFEE01000, 0x4041)
    state = make_state(9, entries={2: entry}, unmasked=[0, 2], pending=[8])
    assert state.vectors == 9
    assert state.entries[0] == MsixEntry(control=0)
    assert state.entries[1] == MsixEntry()
    assert state.entries[2] == MsixEntry(0xFEE01000, 0x4041, 0)
    assert state.to_vmstate()[-2:] == b"\x00\x01"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_kinds_with_a_fixed_number_of_vectors_need_none(path: Path) -> None:
    """The samples agree with the table of fixed numbers."""
    with Dump.open(path) as dump:
        for device in dump.devices:
            if device.kind in FIXED:
                assert make_state(kind=device.kind).vectors == device.vectors


def test_the_fixed_numbers_are_those_of_kinds_without_a_property_for_it() -> None:
    fixed = {kind.kind for kind in KINDS if kind.vectors is None}
    assert fixed <= FIXED
    assert not FIXED & {kind.kind for kind in KINDS if kind.vectors}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "the number of vectors is missing"),
        ({"vectors": 2049}, "expected 1 to 2048, found 2049"),
        ({"vectors": 4, "kind": "e1000e"}, "number of vectors of e1000e: expected 5, found 4"),
        ({"vectors": 4, "kind": "floppy"}, "unknown kind 'floppy'"),
        ({"vectors": 4, "unmasked": [4]}, "vector: expected 0 to 3, found 4"),
        ({"vectors": 4, "pending": [-1]}, "vector: expected 0 to 3, found -1"),
        ({"vectors": 4, "entries": {7: MsixEntry()}}, "vector: expected 0 to 3, found 7"),
    ],
)
def test_what_cannot_be_is_an_error(keys: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_state(**keys)  # type: ignore[arg-type]


def test_a_value_that_no_register_holds_is_an_error() -> None:
    with pytest.raises(FormatError):
        make_state(1, entries={0: MsixEntry(data=1 << 32)})


def test_saved_states_are_read_back(tmp_path: Path) -> None:
    raw, text = tmp_path / "raw", tmp_path / "text"
    state = make_state(11, pending=[3], unmasked=[10])
    raw.write_bytes(state.to_vmstate())
    (device,) = SavedFile.read(str(raw)).devices
    assert (device.state, device.name, device.capability) == (state, NAMELESS, None)
    text.write_text(
        "devices = [{name = '0000:00:02.0/igb', instance = 1, vectors = 10, function_mask = true,"
        " enabled = true, bus_master = false, pending = [9]}]"
    )
    (device,) = SavedFile.read(str(text)).devices
    assert (device.kind, device.instance, device.function_masked, device.bus_master) == (
        "igb",
        1,
        True,
        False,
    )
    assert device.state == MsixState.reset(10).with_pending([9])


@pytest.mark.parametrize("data", [b"", bytes(16), bytes(18), b"text", bytes(33027)])
def test_what_is_no_saved_state_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(data)
    with pytest.raises(NotAStreamError, match=f"no saved state: expected .* found {len(data)} bytes"):
        SavedFile.read(str(path))


def test_the_fixtures_give_states_and_streams_to_anyones_tests(tmp_path: Path) -> None:
    base = REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz"
    (tmp_path / "test_theirs.py").write_text(
        "from msixtool import Dump\n"
        "def test_state(msix_state):\n"
        "    assert msix_state(5, pending=[3]).to_vmstate()[-1] == 8\n"
        "def test_stream(msix_forge, tmp_path):\n"
        "    spec = {'devices': [{'name': 'e1000e', 'pending': [4]}]}\n"
        f"    paths = [msix_forge({str(base)!r}, spec) for _ in range(2)]\n"
        "    assert len(set(paths)) == 2 and all(path.parent == tmp_path for path in paths)\n"
        "    with Dump.open(paths[1]) as dump:\n"
        "        assert dump.select_one('e1000e').state.pending == (4,)\n"
    )
    plugin = ["-p", "no:cacheprovider", "-q", "--rootdir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr
