"""Events as the JSON documents promise them."""

from __future__ import annotations

from typing import Any

import pytest

from msixtool.msix import events as ev

FORMS = [
    (ev.StateRestored(), {"event": "state-restored"}),
    (ev.FunctionMask(True, False), {"event": "function-mask", "masked": True, "was": False}),
    (ev.Mask(3), {"event": "mask", "vector": 3}),
    (ev.Unmask(0), {"event": "unmask", "vector": 0}),
    (ev.PendingSet(1), {"event": "pending-set", "vector": 1}),
    (ev.PendingCleared(1), {"event": "pending-cleared", "vector": 1}),
    (
        ev.MessageEvent(2, 0xFEE00000, 65),
        {"event": "message", "vector": 2, "address": 0xFEE00000, "data": 65},
    ),
    (
        ev.MessageDropped(2, ev.VECTOR_UNUSED),
        {"event": "message-dropped", "vector": 2, "reason": "vector-unused"},
    ),
    (
        ev.MessageDropped(2, ev.BUS_MASTER_OFF),
        {"event": "message-dropped", "vector": 2, "reason": "bus-master-off"},
    ),
    (
        ev.UseNotifier(2, 0xFEE00000, 65),
        {"event": "use-notifier", "vector": 2, "address": 0xFEE00000, "data": 65},
    ),
    (ev.ReleaseNotifier(2), {"event": "release-notifier", "vector": 2}),
    (ev.PollNotifier(32, 64), {"event": "poll-notifier", "start": 32, "end": 64}),
    (ev.IntxDeasserted(), {"event": "intx-deasserted"}),
    (ev.VectorUsed(2, 1), {"event": "vector-used", "vector": 2, "count": 1}),
    (ev.VectorUnused(2, 0), {"event": "vector-unused", "vector": 2, "count": 0}),
    (ev.Reset(), {"event": "reset"}),
    (ev.Error("no"), {"event": "error", "message": "no"}),
]


@pytest.mark.parametrize(("event", "form"), FORMS, ids=[form["event"] for _, form in FORMS])
def test_event_has_the_promised_form(event: ev.MsixEvent, form: dict[str, Any]) -> None:
    assert event.to_json() == form
    assert list(event.to_json()) == list(form)


def test_events_are_values() -> None:
    assert {event for event, _ in FORMS} == {event for event, _ in reversed(FORMS)}
    assert len({event for event, _ in FORMS}) == len(FORMS)


def test_every_event_kind_has_a_promised_form() -> None:
    kinds = {kind.event for kind in vars(ev).values() if isinstance(kind, type) and hasattr(kind, "event")}
    assert kinds == {form["event"] for _, form in FORMS}
