"""Random sequences of operations: played on QEMU and on the model, compared, and shrunk where they differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .operations import (
    MEMORY,
    VECTORS,
    ModelSide,
    Notify,
    Operation,
    ReadPba,
    ReadTable,
    RealSide,
    Reset,
    WriteCommand,
    WriteControl,
    WritePba,
    WriteTable,
)
from .pci import COMMAND_IO, COMMAND_MASTER, COMMAND_MEMORY


class Failure(NamedTuple):
    """Where QEMU and the model parted: after operation number `at`."""

    at: int
    text: str


def compare(real: RealSide, version: tuple[int, int, int], operations: Sequence[Operation]) -> Failure | None:
    """Play a sequence on both from the state of a new process; the first difference, or None."""
    real.clear()
    model = ModelSide(version, real.capability)
    for at, operation in enumerate(operations):
        seen, said = real.observe(operation.play(real)), model.observe(operation.play(model))
        if seen != said:
            return Failure(at, f"after `{operation}`, QEMU and then the model: {seen.differences(said)}")
    return None


def shrink(
    operations: Sequence[Operation], fails: Callable[[Sequence[Operation]], bool], *, runs: int = 500
) -> list[Operation]:
    """A shorter sequence that still fails: runs of operations are left out, then ever shorter ones."""
    best = list(operations)
    length = len(best) // 2
    while length and runs:
        start = 0
        while start < len(best) and runs:
            fewer = best[:start] + best[start + length :]
            runs -= 1
            if fails(fewer):
                best = fewer
            else:
                start += length
        length //= 2
    return best


def random_operations(seed: int, count: int) -> list[Operation]:
    """`count` operations; the same seed gives the same."""
    rng = random.Random(seed)
    kinds, weights = zip(*_KINDS, strict=True)
    return [kind(rng) for kind in rng.choices(kinds, weights, k=count)]


def _mask_bit(rng: random.Random) -> Operation:
    """Mask or unmask a vector, mostly with the reserved bits clear."""
    value = rng.getrandbits(1) | (rng.getrandbits(31) << 1 if rng.random() < 0.1 else 0)
    return WriteTable(16 * rng.randrange(VECTORS) + 12, value, 4)


def _address(rng: random.Random) -> Operation:
    """A message address in the memory that is watched; now and then one that is not a double word's."""
    address = rng.randrange(0, MEMORY - 4, 4) | (rng.randrange(4) if rng.random() < 0.05 else 0)
    return WriteTable(16 * rng.randrange(VECTORS), address, rng.choice((4, 8)))


def _address_high(rng: random.Random) -> Operation:
    """The upper half of a message address, mostly back to zero: elsewhere no message is seen."""
    return WriteTable(16 * rng.randrange(VECTORS) + 4, 0 if rng.random() < 0.8 else 0xFFFF0000, 4)


def _data(rng: random.Random) -> Operation:
    return WriteTable(16 * rng.randrange(VECTORS) + 8, rng.getrandbits(32), 4)


def _data_and_mask(rng: random.Random) -> Operation:
    """Message data and Vector Control in one access."""
    value = rng.getrandbits(32) | rng.getrandbits(1) << 32
    return WriteTable(16 * rng.randrange(VECTORS) + 8, value, 8)


def _narrow(rng: random.Random) -> Operation:
    """An access that is narrower than a double word, or across two, which QEMU refuses."""
    size = rng.choice((1, 2, 4))
    offset = rng.randrange(0, 16 * VECTORS - 4, 4) + rng.randrange(1 if size == 4 else 0, 4)
    write = WriteTable(offset, rng.getrandbits(8 * size), size)
    return rng.choice((write, ReadTable(offset, size), ReadPba(offset % 4, size)))


def _read(rng: random.Random) -> Operation:
    size = rng.choice((4, 8))
    return rng.choice(
        (ReadTable(rng.randrange(0, 16 * VECTORS, size), size), ReadPba(rng.randrange(0, 8, size), size))
    )


def _pba(rng: random.Random) -> Operation:
    size = rng.choice((4, 8))
    return WritePba(rng.randrange(0, 8, size), rng.getrandbits(8 * size), size)


def _control(rng: random.Random) -> Operation:
    """Message Control by a byte, word or double word; mostly to a value that leaves MSI-X enabled."""
    high = rng.choice((0x80, 0x80, 0x80, 0xC0, 0xC0, 0x40, 0x00)) | rng.getrandbits(6)
    low = rng.getrandbits(8)
    return rng.choice(
        (
            WriteControl(3, high, 1),
            WriteControl(2, high << 8 | low, 2),
            WriteControl(0, high << 24 | low << 16 | rng.getrandbits(16), 4),
        )
    )


def _beside_control(rng: random.Random) -> Operation:
    """A write to the capability that leaves out the byte that counts."""
    return rng.choice((WriteControl(2, rng.getrandbits(8), 1), WriteControl(4, rng.getrandbits(32), 4)))


def _command(rng: random.Random) -> Operation:
    return WriteCommand(COMMAND_MEMORY | rng.choice((0, COMMAND_IO)) | rng.choice((0, *[COMMAND_MASTER] * 3)))


def _notify(rng: random.Random) -> Operation:
    return Notify(tuple(rng.sample(range(VECTORS), rng.choice((1, 1, 1, 2, 3, 5)))))


def _reset(rng: random.Random) -> Operation:
    return Reset(rng.random() < 0.3)


_KINDS: tuple[tuple[Callable[[random.Random], Operation], int], ...] = (
    (_mask_bit, 25),
    (_notify, 25),
    (_control, 12),
    (_address, 8),
    (_data, 6),
    (_data_and_mask, 5),
    (_command, 5),
    (_address_high, 3),
    (_read, 3),
    (_narrow, 3),
    (_pba, 2),
    (_beside_control, 2),
    (_reset, 1),
)
"""What is done, and how often in a hundred."""
