"""What real QEMUs made of forged states: the model's load against the recorded corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from msixtool.msix.events import MessageEvent
from msixtool.msix.function import MsixFunction
from msixtool.msix.state import MsixEntry, MsixState

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "states"

USED_AT_LOAD = {
    "e1000e": None,
    "igb": None,
    "vmxnet3": None,
    "root-port": None,
    "megasas": 1,
    "megasas-gen2": 1,
}
"""How many vectors a device kind has marked used when its MSI-X state is loaded: None is all of them."""


def recorded() -> Iterator[Any]:
    for path in sorted(CORPUS.glob("*/truth.json")):
        truth = json.loads(path.read_text())
        for load in truth["loads"]:
            if load["status"] == "completed":
                yield pytest.param(
                    truth["devices"], load, id=f"{path.parent.name}-{load['forge']}-on-{load['target']}"
                )


def used_at_load(device: dict[str, Any]) -> range:
    count = USED_AT_LOAD.get(device["kind"], 0)
    return range(device["vectors"] if count is None else count)


def edited_state(device: dict[str, Any], edit: dict[str, Any]) -> MsixState:
    entries = [MsixEntry(*words) for words in device["table"]]
    for vector, bit in edit.get("mask", {}).items():
        entries[int(vector)] = entries[int(vector)].with_masked(bool(bit))
    blank = MsixState.reset(device["vectors"])
    return MsixState(tuple(entries), blank.pba).with_pending(edit["pending"])


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no recorded streams at {CORPUS}")
@pytest.mark.parametrize(("devices", "load"), list(recorded()))
def test_load_gives_the_state_and_the_messages_that_qemu_gave(devices: Any, load: Any) -> None:
    for device, edit, after in zip(devices, load["edits"], load["after"], strict=True):
        vectors = device["vectors"]
        function = MsixFunction.from_state(MsixState.reset(vectors), used=used_at_load(device))
        function.restore_config(device["flags"], bus_master=device["bus_master"])
        events = function.load(edited_state(device, edit).to_vmstate())
        assert [[e.address, e.data, e.control] for e in function.state.entries] == after["table"]
        words = (len(bytes.fromhex(after["pba"])) + 3) // 4
        pba = "".join(f"{function.pba_mmio_read(4 * word).value:08x}" for word in range(words))
        assert pba == after["pba"]
        sent = {str(event.vector): event.data for event in events if isinstance(event, MessageEvent)}
        assert sent == after["messages"]
        assert function.control == after["flags"]
