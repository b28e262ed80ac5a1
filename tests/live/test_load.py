"""What `msixtool load` says of a stream, and what a real QEMU does when it loads that stream.

A machine with one device of each kind that has MSI-X is saved, its stream forged by bytes: tables,
pending bits, Message Control and bus mastering at random, each vector's message pointing to a word
of its own in guest RAM. Another QEMU loads it: the state that its guest then sees, and the words
that its devices wrote meanwhile, must be what the load path of tasks/load.py says.

Each run prints its seed, and MSIXTOOL_SEED repeats it.
"""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from msixtool import Dump
from msixtool.devices.device import MsixDevice
from msixtool.formats.msix import CONTROL_ENABLE, CONTROL_FUNCTION_MASK
from msixtool.formats.pci import CommandBits
from msixtool.msix.state import MsixEntry, MsixState
from msixtool.qemu import kinds as known
from msixtool.qemu.kinds.facts import UsedAtLoad
from msixtool.tasks.load import Loaded, load_device
from msixtool.tasks.refusals import refusals
from msixtool.tasks.replay.player import play
from msixtool.tasks.replay.record import record_load
from msixtool.tasks.replay.script import parse_script

from .devices import DeviceKind, device_kinds, machine
from .guest import Guest
from .pci import COMMAND, Msix
from .virtio import Virtio

ROUNDS = 10
MESSAGES = 0x200000
"""Where the words stand that the messages write, 16 bytes apart."""
NUMBERS_OF_VECTORS = (1, 2, 3, 7, 8, 9, 33, 64, 65, 129, 300)
"""Tried on the kinds whose number can be chosen: pending bits in one byte or many, padded or not."""


def random_kind(kind: DeviceKind, rng: random.Random) -> DeviceKind:
    """The kind with a number of vectors of its own, where it lets one choose."""
    if kind.vectors is None or rng.random() < 0.3:
        return kind
    chosen = f"{kind.vectors}={rng.choice(NUMBERS_OF_VECTORS)}"
    return replace(kind, options=",".join(filter(None, [kind.options, chosen])))


def random_state(vectors: int, first: int, rng: random.Random) -> MsixState:
    """Any masks and pending bits, those beyond the last vector too; `first` counts the words in RAM."""
    held = rng.random()
    entries = [
        MsixEntry(
            MESSAGES + 16 * (first + vector),
            rng.randint(1, 0xFFFFFFFF),
            int(rng.random() < held) | (rng.getrandbits(31) << 1 if rng.random() < 0.1 else 0),
        )
        for vector in range(vectors)
    ]
    return MsixState(tuple(entries), rng.randbytes((vectors + 7) // 8))


def forge(stream: bytes, rng: random.Random) -> bytes:
    """The stream with a random state for each device, put where msixtool finds it."""
    forged = bytearray(stream)
    first = 0
    with Dump.open(io.BytesIO(stream)) as dump:
        for device in dump.devices:
            state = random_state(device.vectors, first, rng)
            first += device.vectors
            forged[device.offset : device.offset + device.length] = state.to_vmstate()
            forge_config(forged, device, rng)
    return bytes(forged)


def forge_config(forged: bytearray, device: MsixDevice, rng: random.Random) -> None:
    """Mostly enabled without the function mask and with bus mastering: there most happens."""
    assert device.config_offset is not None
    assert device.capability is not None
    flags = rng.choice(
        (*[CONTROL_ENABLE] * 4, CONTROL_ENABLE | CONTROL_FUNCTION_MASK, CONTROL_FUNCTION_MASK, 0)
    )
    at = device.config_offset + device.capability.offset + 3
    forged[at] = forged[at] & 0x3F | flags >> 8
    at = device.config_offset + COMMAND
    forged[at] = forged[at] & ~CommandBits.BUS_MASTER | CommandBits.BUS_MASTER * (rng.random() < 0.8)


def save(kinds: list[DeviceKind], binary: str) -> bytes:
    """The stream of a machine with these devices, BARs placed; virtio's have a vector that they will use."""
    arguments, at = machine(kinds)
    with Guest(arguments, binary=binary) as guest:
        for function in guest.place():
            if function.path in at and at[function.path].kind.startswith("virtio"):
                Virtio(guest, function).config_vector = 0
        return guest.save()


class Case:
    """One forged stream: what msixtool says of it, and what a QEMU made of it."""

    def __init__(self, stream: bytes, kinds: list[DeviceKind], binary: str) -> None:
        arguments, at = machine(kinds)
        with Dump.open(io.BytesIO(stream)) as dump, Guest(arguments, binary=binary, incoming=True) as guest:
            self.version = guest.version
            self.devices = dump.devices
            assert {device.name for device in self.devices} == {f"{path}/{k.kind}" for path, k in at.items()}
            assert refusals(dump, guest.version) == []
            self.loaded = [load_device(device, guest.version) for device in self.devices]
            result = guest.load(stream)
            assert result.ok, result.stderr
            self._msix = guest.msix()
            words = guest.qtest.read(MESSAGES, 16 * sum(device.vectors for device in self.devices))
            self._words = [int.from_bytes(words[at : at + 4], "little") for at in range(0, len(words), 16)]
            self.wrong = list(self._compare())

    def _compare(self) -> Iterator[tuple[MsixDevice, str]]:
        """The devices of which QEMU and msixtool say different things, and what."""
        first = 0
        for device, loaded in zip(self.devices, self.loaded, strict=True):
            words = self._words[first : first + device.vectors]
            first += device.vectors
            text = "; ".join(differences(device, loaded, self._msix[device.name.rpartition("/")[0]], words))
            if text:
                yield device, text

    def report(self) -> str:
        """What disagrees, a device after another, each with its load path as a script."""
        return "\n".join(
            f"# {device.name}: QEMU and then msixtool: {text}\n{record_load(device, self.version)}"
            for device, text in self.wrong
        )


def differences(device: MsixDevice, loaded: Loaded, msix: Msix, words: list[int]) -> Iterator[str]:
    """What QEMU's guest sees of a loaded device that is not what was said."""
    assert device.capability is not None
    if msix.control != device.capability.control:
        yield f"Message Control {msix.control:#x}, {device.capability.control:#x}"
    if msix.function.bus_master != device.bus_master:
        yield f"bus mastering {msix.function.bus_master}, {device.bus_master}"
    seen = MsixState.from_vmstate(msix.vmstate(), device.vectors)
    for vector, (mine, its) in enumerate(zip(seen.entries, loaded.after.entries, strict=True)):
        if mine != its:
            yield f"entry {vector} {mine}, {its}"
    if seen.pba != loaded.after.pba:
        yield f"pending bits {seen.pba.hex()}, {loaded.after.pba.hex()}"
    sent = {message.vector: message.data for message in loaded.messages if message.delivered}
    for vector, word in enumerate(words):
        if word != sent.get(vector, 0):
            yield f"message of vector {vector} {word:#x}, {sent.get(vector, 0):#x}"


def outcomes(cases: list[Case]) -> Counter[str]:
    """How much was compared, and what became of the pending vectors."""
    counted: Counter[str] = Counter()
    for loaded in (loaded for case in cases for loaded in case.loaded):
        counted.update(message.reason or "sent" for message in loaded.messages)
        counted["kept"] += len(loaded.after.pending)
        counted["vectors"] += loaded.after.vectors
    counted["devices"] = sum(len(case.devices) for case in cases)
    return counted


def test_a_load_does_what_msixtool_says(qemu: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("MSIXTOOL_SEED") or random.SystemRandom().getrandbits(32))
    rng = random.Random(seed)
    cases: list[Case] = []
    with capsys.disabled():
        print(f"\nforged loads, {ROUNDS} rounds, MSIXTOOL_SEED={seed}: ", end="", flush=True)
        for _ in range(ROUNDS):
            kinds = [random_kind(kind, rng) for kind in device_kinds(qemu)]
            case = Case(forge(save(kinds, qemu), rng), kinds, qemu)
            if case.wrong:
                version = ".".join(map(str, case.version))
                pytest.fail(f"QEMU {version}, seed {seed}, round {len(cases) + 1}\n{case.report()}")
            cases.append(case)
        seen = outcomes(cases)
        figures = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
        print(f"QEMU {'.'.join(map(str, cases[0].version))}: {figures}")
    assert all(seen[outcome] for outcome in ("sent", "vector-unused", "kept"))
    kinds_seen = {device.kind for case in cases for device in case.devices}
    assert kinds_seen == {kind.kind for kind in device_kinds(qemu)}


def test_a_load_path_that_is_wrong_is_found_out_and_printed_as_a_script(
    qemu: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    right = known.kind_of("e1000e")
    assert right.msix is not None
    wrong = right._replace(msix=right.msix._replace(used=UsedAtLoad.NONE))
    monkeypatch.setitem(known._registry(), "e1000e", wrong)
    kinds = [kind for kind in device_kinds(qemu) if kind.kind == "e1000e"]
    stream = bytearray(save(kinds, qemu))
    with Dump.open(io.BytesIO(stream)) as dump:
        (device,) = dump.devices
        assert device.config_offset is not None
        assert device.capability is not None
        state = MsixState((MsixEntry(MESSAGES, 0x55AA, 0), *[MsixEntry()] * 4), b"\1")
        stream[device.offset : device.offset + device.length] = state.to_vmstate()
        stream[device.config_offset + device.capability.offset + 3] |= CONTROL_ENABLE >> 8
    case = Case(bytes(stream), kinds, qemu)
    assert [text for _, text in case.wrong] == ["message of vector 0 0x55aa, 0x0"]
    assert case.report().startswith("# 0000:00:02.0/e1000e: QEMU and then msixtool: message of vector 0")
    assert all(step.ok for step in play(parse_script(case.report())))
