"""What is asked again and again of one section or stream is looked up: no question goes through all."""

from __future__ import annotations

import io

import pytest

from msixtool import Dump
from msixtool.stream.items import Item
from msixtool.tasks.explain.evidence import MOST_NAMED, StreamAtHand
from msixtool.tasks.field_tree import Group, Leaf
from msixtool.tasks.fields import Section, find
from tests.cli.test_linear import devices, path_of, steps


def section_of(count: int) -> Section:
    """One with fields of a byte each."""
    item = Item(Dump.open(io.BytesIO(devices(1))).index.items[-2].type, 0, count, idstr="dev")
    members = {f"core.reg{number}": Leaf("uint8", number, 1) for number in range(count)}
    return Section(item, bytes(count), Group({**members}))


def test_a_field_of_a_huge_section_is_found_without_going_through_the_others() -> None:
    few, many = (
        steps(lambda section=section: find(section, "core.reg90"))  # type: ignore[misc]
        for section in (section_of(100), section_of(1000))
    )
    assert few == many


@pytest.mark.parametrize("order", [("a", "a/b"), ("a/b", "a")])
def test_of_two_readings_of_a_path_the_first_in_the_section_counts(order: tuple[str, str]) -> None:
    leaves = {"a": Group({"b": Leaf("uint8", 0, 1)}), "a/b": Leaf("uint8", 1, 1)}
    section = section_of(2)
    section.tree = Group({name: leaves[name] for name in order})
    assert find(section, "a/b").offset == (0 if order[0] == "a" else 1)


def test_who_has_a_byte_is_worked_out_once_for_each_place() -> None:
    asked = []
    for count in (20, 40):
        with Dump.open(io.BytesIO(devices(count))) as dump:
            evidence = StreamAtHand(dump)
            first = evidence.with_byte(0, dump.devices[0].config.data[0])  # type: ignore[union-attr]
            assert first.number == count
            assert first.names == tuple(f"{path_of(number)}/e1000e" for number in range(MOST_NAMED))
            asked.append(steps(lambda evidence=evidence: evidence.with_byte(0, 255)))  # type: ignore[misc]
    assert asked[0] == asked[1]
