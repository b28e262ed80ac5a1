"""The model of MSI-X against a real e1000e: the same after every operation of random sequences.

Each run prints its seed, and MSIXTOOL_SEED repeats it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from msixtool.msix.function import MsixFunction
from msixtool.tasks.replay.player import play
from msixtool.tasks.replay.script import parse_script

from .guest import Guest
from .operations import (
    MACHINE,
    VECTORS,
    ModelSide,
    Operation,
    ReadPba,
    ReadTable,
    RealSide,
    Reset,
    replay_script,
)
from .sequences import compare, random_operations, shrink

OPERATIONS = 2000
REFERENCE_SEED = 1


def difference(guest: Guest, operations: Sequence[Operation]) -> tuple[str, list[Operation], str] | None:
    """What differs first between QEMU and the model, the shortest sequence that shows a difference, and the
    script that plays it on the model."""
    real = RealSide(guest)
    failure = compare(real, guest.version, operations)
    if failure is None:
        return None
    failing = operations[: failure.at + 1]
    shortest = shrink(failing, lambda fewer: compare(real, guest.version, fewer) is not None)
    last = compare(real, guest.version, shortest) or failure
    return last.text, shortest, replay_script(shortest, guest.version, real.capability)


def test_the_model_does_what_qemu_does(qemu: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("MSIXTOOL_SEED") or random.SystemRandom().getrandbits(32))
    with Guest(MACHINE, binary=qemu) as guest:
        version = ".".join(map(str, guest.version))
        with capsys.disabled():
            print(f"\nQEMU {version} and the model: {OPERATIONS} operations, MSIXTOOL_SEED={seed}")
        found = difference(guest, random_operations(seed, OPERATIONS))
    if found is not None:
        text, _, script = found
        pytest.fail(f"# {text}\n# QEMU {version}, seed {seed}; a script for msixtool replay:\n{script}")


def test_the_sequences_reach_every_effect_that_an_e1000e_can_have() -> None:
    model = ModelSide((7, 2, 0), 0xA0)
    for operation in random_operations(REFERENCE_SEED, OPERATIONS):
        operation.play(model)
    usual = (
        "message",
        "message-dropped",
        "pending-set",
        "pending-cleared",
        "mask",
        "unmask",
        "function-mask",
    )
    assert all(model.effects[effect] > 20 for effect in usual), model.effects
    assert model.effects["reset"] > 5


def test_a_sequence_printed_as_a_replay_script_does_the_same_to_the_model() -> None:
    version, capability = (7, 2, 0), 0xA0
    everything = [ReadTable(at, 4) for at in range(0, 16 * VECTORS, 4)] + [ReadPba(at, 4) for at in (0, 4)]
    operations = [*random_operations(REFERENCE_SEED, OPERATIONS), *everything]
    model = ModelSide(version, capability)
    read = [value for operation in operations if (value := operation.play(model)) is not None]
    steps = list(play(parse_script(replay_script(operations, version, capability))))
    assert all(step.ok for step in steps)
    assert [step.value for step in steps if step.value is not None] == read
    assert Counter(event.event for step in steps for event in step.events) == model.effects


def test_a_model_that_is_wrong_is_found_out_and_the_sequence_shrunk(
    qemu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MsixFunction, "reset", lambda self: ())
    with Guest(MACHINE, binary=qemu) as guest:
        found = difference(guest, random_operations(REFERENCE_SEED, 300))
    assert found is not None
    text, shortest, script = found
    assert isinstance(shortest[-1], Reset)
    assert text.startswith(f"after `{shortest[-1]}`")
    assert len(shortest) == 2
    lines = [statement.text for statement in parse_script(script).statements]
    assert lines[4:] == [str(shortest[0]), "bus-master off", "reset", "write command 0x6"]
