"""What a script can expect: of the device as it stands, and of what the last action did.

An expectation gives None where it holds, otherwise in words what is instead. Where it names several
vectors it must hold for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msixtool.errors import UsageError
from msixtool.msix import events as ev
from msixtool.msix.bar import Placement, table_size
from msixtool.msix.registers import VECTOR_CTRL
from msixtool.tasks.replay.bench import Bench
from msixtool.tasks.replay.grammar import Form, When
from msixtool.tasks.replay.values import BarOffset, EventPattern, VectorNumbers, VectorWords

EXPECTATIONS: dict[str, Form] = {}
"""The expectations by their names."""

Check = Callable[..., str | None]


def expect(usage: str) -> Callable[[Check], Check]:
    """Make a function the expectation with this usage, which stands behind the word `expect`."""

    def register(check: Check) -> Check:
        form = Form(f"expect {usage}", When.EXPECTATION, check)
        EXPECTATIONS[form.name] = form
        return check

    return register


# The device as it stands


@expect("pending VECTORS")
def pending(bench: Bench, vectors: VectorNumbers) -> str | None:
    """The pending bits are set."""
    wrong = [v for v in bench.numbers(vectors) if not bench.function.is_pending(v)]
    return _vectors_are(wrong, "not pending")


@expect("not-pending VECTORS")
def not_pending(bench: Bench, vectors: VectorNumbers) -> str | None:
    """The pending bits are clear."""
    return _vectors_are([v for v in bench.numbers(vectors) if bench.function.is_pending(v)], "pending")


@expect("masked VECTORS [function-mask=on|off]")
def masked(bench: Bench, vectors: VectorNumbers, function_mask: bool | None = None) -> str | None:
    """msix_is_masked: masked, by the own bit or the cached function mask (or by the one given)."""
    wrong = [v for v in bench.numbers(vectors) if not _is_masked(bench, v, function_mask)]
    return _vectors_are(wrong, "not masked")


@expect("unmasked VECTORS [function-mask=on|off]")
def unmasked(bench: Bench, vectors: VectorNumbers, function_mask: bool | None = None) -> str | None:
    """The contrary: live."""
    wrong = [v for v in bench.numbers(vectors) if _is_masked(bench, v, function_mask)]
    return _vectors_are(wrong, "masked")


def _is_masked(bench: Bench, vector: int, function_mask: bool | None) -> bool:
    if function_mask is None:
        return bench.function.is_masked(vector)
    return bench.function.vector_masked(vector, function_mask)


@expect("used VECTORS [count=COUNT]")
def used(bench: Bench, vectors: VectorNumbers, count: int | None = None) -> str | None:
    """The device has marked them used (that often)."""
    for vector, found in _use_counts(bench, vectors):
        if found != count if count is not None else not found:
            return f"vector {vector} is used {found} times"
    return None


@expect("unused VECTORS")
def unused(bench: Bench, vectors: VectorNumbers) -> str | None:
    """The device has not marked them used."""
    return _vectors_are([vector for vector, count in _use_counts(bench, vectors) if count], "used")


def _use_counts(bench: Bench, vectors: VectorNumbers) -> list[tuple[int, int]]:
    """Each vector with its use counter. Raises UsageError for one that is not there."""
    counts = bench.function.used
    for vector in bench.numbers(vectors):
        if vector >= len(counts):
            raise UsageError("no such vector", expected=f"below {len(counts)}", found=vector)
    return [(vector, counts[vector]) for vector in bench.numbers(vectors)]


@expect("entry VECTOR [address=ADDRESS] [data=DATA] [control=VECTOR-CONTROL]")
def entry(
    bench: Bench, vector: int, address: int | None = None, data: int | None = None, control: int | None = None
) -> str | None:
    """Message and Vector Control of a table entry."""
    found = bench.function.get_message(vector)
    there = bench.function.table_mmio_read(table_size(vector) + VECTOR_CTRL).value
    return (
        _number("address", found.address, address)
        or _number("data", found.data, data)
        or _number("control", there, control)
    )


@expect("control CONTROL")
def control(bench: Bench, control: int) -> str | None:
    """Message Control as a whole."""
    return _number("Message Control", bench.function.control, control)


@expect("enabled")
def enabled(bench: Bench) -> str | None:
    """MSI-X is there and enabled."""
    return None if bench.function.enabled() else "MSI-X is not enabled"


@expect("disabled")
def disabled(bench: Bench) -> str | None:
    """MSI-X is not there or not enabled."""
    return "MSI-X is enabled" if bench.function.enabled() else None


@expect("present")
def present(bench: Bench) -> str | None:
    """The function has MSI-X."""
    return None if bench.function.present() else "the function has no MSI-X"


@expect("absent")
def absent(bench: Bench) -> str | None:
    """The function has no MSI-X."""
    return "the function has MSI-X" if bench.function.present() else None


@expect("vectors N")
def vectors_allocated(bench: Bench, n: int) -> str | None:
    """msix_nr_vectors_allocated."""
    found = bench.function.nr_vectors_allocated()
    return None if found == n else f"the number of vectors is {found}"


@expect("function-masked on|off")
def function_masked(bench: Bench, on: bool) -> str | None:
    """The cached function mask."""
    return _switch("the cached function mask", bench.function.function_masked, on)


@expect("bus-master on|off")
def bus_master(bench: Bench, on: bool) -> str | None:
    """Whether messages can reach memory."""
    return _switch("bus mastering", bench.function.bus_master, on)


@expect("layout [table=PLACE] [pba=PLACE] [cap=OFFSET]")
def layout(
    bench: Bench, table: BarOffset | None = None, pba: BarOffset | None = None, cap: int | None = None
) -> str | None:
    """Where table, PBA and capability lie."""
    return (
        _place("the table", bench.function.table, table)
        or _place("the PBA", bench.function.pba, pba)
        or _number("the capability", bench.function.capability, cap)
    )


@expect("state NAME")
def state(bench: Bench, name: str) -> str | None:
    """Table and pending bits are those that were saved."""
    if name not in bench.saved:
        return f"nothing was saved as {name}"
    wanted, found = bench.saved[name].vmstate, bench.function.save()
    if len(wanted) != len(found):
        return f"the state has {len(found)} bytes, the one saved {len(wanted)}"
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), None)
    return None if at is None else f"byte {at:#x} is {found[at]:#04x}, was {wanted[at]:#04x}"


# What the last action did


@expect("value VALUE")
def value(bench: Bench, value: int) -> str | None:
    """What the last action read."""
    if bench.value is None:
        return "the last action read nothing"
    return _number("the value read", bench.value, value)


@expect("message VECTOR [address=ADDRESS] [data=DATA]")
def message(bench: Bench, vector: int, address: int | None = None, data: int | None = None) -> str | None:
    """It sent this vector's message."""
    sent = [event for event in bench.events if isinstance(event, ev.MessageEvent) and event.vector == vector]
    if not sent:
        return f"no message of vector {vector}"
    return _number("address", sent[-1].address, address) or _number("data", sent[-1].data, data)


@expect("messages [VECTORS]")
def messages(bench: Bench, vectors: VectorNumbers = ()) -> str | None:
    """It sent the messages of exactly these vectors, in this order."""
    return _exactly(
        "messages", [e.vector for e in bench.events if isinstance(e, ev.MessageEvent)], bench, vectors
    )


@expect("lost [VECTORS] [reason=REASON]")
def lost(bench: Bench, vectors: VectorNumbers = (), reason: str | None = None) -> str | None:
    """It dropped the messages of exactly these vectors (for this reason), in this order."""
    dropped = [event for event in bench.events if isinstance(event, ev.MessageDropped)]
    found = [event.vector for event in dropped if reason in (None, event.reason)]
    return _exactly("lost", found, bench, vectors)


@expect("error [TEXT]")
def error(bench: Bench, text: str = "") -> str | None:
    """QEMU refused it or ended over it, and TEXT is in the reason."""
    found = [event.message for event in bench.events if isinstance(event, ev.Error)]
    if any(text in message for message in found):
        return None
    return f"the error is: {found[0]}" if found else "no error"


@expect("events [EVENTS]")
def events(bench: Bench, events: tuple[EventPattern, ...] = ()) -> str | None:
    """Its events are exactly these, in this order."""
    found = [EventPattern(event.event, getattr(event, "vector", None)) for event in bench.events]
    for at, (mine, wanted) in enumerate(zip(found, events, strict=False), 1):
        if mine.event != wanted.event or wanted.vector not in (None, mine.vector):
            return f"event {at} is {mine}"
    if len(found) > len(events):
        return f"event {len(events) + 1} is {found[len(events)]}"
    return f"there are only {len(found)} events" if len(found) < len(events) else None


@expect("no EVENT [VECTORS]")
def no(bench: Bench, event: str, vectors: VectorNumbers | None = None) -> str | None:
    """Nothing of this kind happened (to these vectors)."""
    wanted = None if vectors is None else bench.numbers(vectors)
    for found in bench.events:
        vector = getattr(found, "vector", None)
        if found.event == event and (wanted is None or vector in wanted):
            return str(EventPattern(event, vector)) + " happened"
    return None


def _vectors_are(vectors: Sequence[int], what: str) -> str | None:
    """The failure that these vectors are something."""
    if not vectors:
        return None
    return f"vector{'' if len(vectors) == 1 else 's'} {_listed(vectors)} {_is(vectors)} {what}"


def _exactly(what: str, found: Sequence[int], bench: Bench, wanted: VectorNumbers) -> str | None:
    if tuple(found) == bench.numbers(wanted):
        return None
    return f"{what}: {_listed(found) if found else 'none'}"


def _listed(vectors: Iterable[int]) -> str:
    return " ".join(VectorWords().format(tuple(vectors)))


def _is(vectors: Sequence[int]) -> str:
    return "is" if len(vectors) == 1 else "are"


def _number(what: str, found: int, wanted: int | None) -> str | None:
    return None if wanted in (None, found) else f"{what} is {found:#x}"


def _switch(what: str, found: bool, wanted: bool) -> str | None:
    return None if found == wanted else f"{what} is {'on' if found else 'off'}"


def _place(what: str, found: Placement | None, wanted: BarOffset | None) -> str | None:
    if wanted is None:
        return None
    if found is None:
        return f"{what} is nowhere"
    same_size = wanted.size in (None, found.bar_size)
    if (found.bar, found.offset) == (wanted.bar, wanted.offset) and same_size:
        return None
    return f"{what} is at {found.bar}:{found.offset:#x}:{found.bar_size:#x}"


def expects_error(form: Form) -> bool:
    """Whether a form expects the last action to be refused."""
    return form.run is error
