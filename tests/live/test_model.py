"""The model of MSI-X against a real e1000e: the same after every operation of random sequences.

Each run prints its seed, and MSIXTOOL_SEED repeats it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from msixtool.msix.function import MsixFunction

from .guest import Guest
from .operations import MACHINE, ModelSide, Operation, RealSide, Reset
from .sequences import compare, random_operations, shrink

OPERATIONS = 2000
REFERENCE_SEED = 1


def difference(guest: Guest, operations: Sequence[Operation]) -> tuple[str, list[Operation]] | None:
    """What differs first between QEMU and the model, and the shortest sequence that shows a difference."""
    real = RealSide(guest)
    failure = compare(real, guest.version, operations)
    if failure is None:
        return None
    failing = operations[: failure.at + 1]
    shortest = shrink(failing, lambda fewer: compare(real, guest.version, fewer) is not None)
    last = compare(real, guest.version, shortest) or failure
    return last.text, shortest


def test_the_model_does_what_qemu_does(qemu: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("MSIXTOOL_SEED") or random.SystemRandom().getrandbits(32))
    with Guest(MACHINE, binary=qemu) as guest:
        version = ".".join(map(str, guest.version))
        with capsys.disabled():
            print(f"\nQEMU {version} and the model: {OPERATIONS} operations, MSIXTOOL_SEED={seed}")
        found = difference(guest, random_operations(seed, OPERATIONS))
    if found is not None:
        text, shortest = found
        pytest.fail("\n".join([f"{text} (QEMU {version}, seed {seed})", *map(str, shortest)]))


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


def test_a_model_that_is_wrong_is_found_out_and_the_sequence_shrunk(
    qemu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MsixFunction, "reset", lambda self: ())
    with Guest(MACHINE, binary=qemu) as guest:
        found = difference(guest, random_operations(REFERENCE_SEED, 300))
    assert found is not None
    text, shortest = found
    assert isinstance(shortest[-1], Reset)
    assert text.startswith(f"after `{shortest[-1]}`")
    assert len(shortest) == 2
