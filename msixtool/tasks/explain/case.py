"""One failure with what is at hand to explain it: its messages, and the stream where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msixtool.formats.idstr import Idstr
from msixtool.qemu import advice
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks.explain.events import Event
from msixtool.tasks.explain.evidence import StreamAtHand
from msixtool.tasks.explain.failures import Failure
from msixtool.tasks.finding import Finding, finding_of


class Case:
    """A failure to be explained."""

    def __init__(self, failure: Failure, evidence: StreamAtHand | None) -> None:
        self.failure = failure
        self.evidence = evidence
        self.section = failure.section

    @property
    def cause(self) -> Event:
        """Of a failure that tells its cause: the message that does."""
        return self.failure.first

    @property
    def instance(self) -> int | None:
        """The instance_id in the message that names the section."""
        place = self.failure.device
        if place is None or "instance" not in place.values or place.values["section"] != self.section:
            return None
        return int(place.values["instance"], 16)

    @property
    def kind(self) -> str:
        """The kind of the device; empty where no message names one."""
        return Idstr(self.section or "").kind

    @property
    def it(self) -> str:
        """The device in a sentence."""
        return self.section or "the device"

    @property
    def source(self) -> Any:
        return self.cause.number("source")

    @property
    def target(self) -> Any:
        return self.cause.number("target")

    def value(self, group: str) -> str:
        """A group of the cause's wording; empty where it is not in this message."""
        return self.cause.values.get(group, "")

    def tell(self, refusal: Refusal, **values: Any) -> Finding:
        """What a refusal of a sentence of its own makes of this case, with `values` beside its message's."""
        known = {**self.cause.values, "source": self.source, "target": self.target, "it": self.it, **values}
        made = finding_of(refusal, self.section or refusal.section, self.instance, **known)
        return replace(made, source=_state(known["source"]), target=_state(known["target"]))

    def refused(self, refusal: Refusal, section: str | None = None, **values: Any) -> Finding:
        """A refusal of QEMU's by the values in its messages, and others: those of the cause's wording count
        by their names."""
        section = self.section or section
        known = {"source": self.source, "target": self.target, "instance": self.instance}
        # Numbers among the wording's groups that FINDING has no place for stay text.
        named = {name: value for name, value in self.cause.values.items() if name != "section"}
        made = finding_of(refusal, section, **{**named, **known, **values})
        about = f"{section}: " if section and section not in made.message else ""
        words = f"{about}{made.message}."
        advised = made.advice or advice.advise(made.code.value, self.kind, made.field)
        return replace(made, message=words[0].upper() + words[1:] if not about else words, advice=advised)


def _state(value: Any) -> Any:
    """A capability's `on` and `off` as true and false."""
    return _STATES.get(value, value) if isinstance(value, str) else value


_STATES = {"on": True, "off": False, "enabled": True, "disabled": False}
