"""The library: every question is a method or a function, and its answer is what the command prints."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import msixtool
from msixtool import Answer, Dump, NotAStreamError, Saved, UsageError, open_input
from tests.cli.conftest import Result, msixtool as command
from tests.conftest import REPOSITORY, SAMPLES
from tests.library.reference import GROUPS, MARK, PAGE, reference

Tool = Callable[..., Result]
tool = pytest.fixture(name="tool")(command.__wrapped__)

THREE = next(path for path in SAMPLES if "3-vectors" in path.name)
HUNG = [REPOSITORY / "samples" / "hung" / f"{name}-7.2.mig.xz" for name in ("hung", "later")]
LONGEST = 300
"""Characters of a repr: two lines of a debugger."""


def answers(path: Path, other: Path) -> dict[str, tuple[Answer, list[Any]]]:
    """Each answer about a stream, and the command line that asks the same."""
    with Dump.open(path, walk=True) as dump, Dump.open(other) as second:
        fields = dump.fields("timer")
        fields.document()
        return {
            "inspect": (dump.inspect(), []),
            "show": (dump.show(), []),
            "load": (dump.load(), []),
            "validate": (dump.validate(), []),
            "diff": (dump.diff(second, fields=True, ram=True), [other, "--fields"]),
            "compat": (dump.compat(second), [other]),
            "trace": (dump.trace(), []),
            "cmdline": (dump.cmdline(), []),
        }


@pytest.mark.parametrize("path", [*SAMPLES[:4], *HUNG], ids=lambda path: path.name)
def test_an_answer_is_the_document_and_the_status_of_the_command(tool: Tool, path: Path) -> None:
    """The streams are closed by then: an answer stays what it was."""
    for name, (answer, arguments) in answers(path, THREE).items():
        result = tool(name, "--json", path, *arguments)
        assert answer.document() == result.json, name
        assert result.status == (2 if answer.damage else 0 if answer.ok else 1), name


def test_fields_are_read_by_section_and_path(tool: Tool, sample: Path) -> None:
    with Dump.open(sample) as dump:
        answer = dump.fields("e1000e")
        assert answer.document() == tool("fields", "--json", "-d", "e1000e", sample).json
        assert "".join(answer.json()) == json.dumps(answer.document(), ensure_ascii=False)
        assert answer["04.0"]["parent_obj[0]/version_id"] == 2
        assert answer["e1000e"]["core.phy[3]"] == answer["e1000e"]["core.phy"][3]  # type: ignore[index]
        assert (
            dump.description("timer").document()
            == tool(*["fields", "--desc", "--json", "-d", "timer"], sample).json
        )
        for wrong in ("nothing", "*"):
            with pytest.raises(UsageError, match="section"):
                dump.fields()[wrong]


def test_what_an_input_is_the_library_says(tool: Tool, sample: Path, tmp_path: Path) -> None:
    raw, spec, text = tmp_path / "raw", tmp_path / "spec.toml", tmp_path / "text"
    text.write_text("nothing of the kind\n")
    with Dump.open(sample) as dump:
        dump.save(raw, "e1000e")
        dump.save(spec, "e1000e", text=True)
    with open_input(sample) as stream, open_input(raw, kind="e1000e") as state, open_input(spec) as asked:
        assert [type(each) for each in (stream, state, asked)] == [Dump, Saved, Saved]
        for given, path in ((state, raw), (asked, spec)):
            kind = ["--kind", "e1000e"] if given is state else []
            for name in ("show", "validate", "load"):
                answer = getattr(given, name)()
                assert answer.document() == tool(name, "--json", path, *kind).json
            assert given.diff(stream).equal
            assert stream.diff(given, device="e1000e").equal
    with pytest.raises(NotAStreamError, match=r"QEVM, a saved state of .* or a SPEC"):
        open_input(text)
    with pytest.raises(UsageError, match="expected 4 vectors, found 5 by its size"):
        open_input(raw, vectors=4)


def test_a_difference_may_be_from_a_path(sample: Path) -> None:
    with Dump.open(sample) as dump, Dump.open(THREE) as three:
        assert dump.diff(THREE).document() == dump.diff(three).document()
        assert dump.diff(str(sample)).equal


def test_compat_of_two_paths_starts_no_qemu() -> None:
    with pytest.raises(TypeError, match="qemu"):
        msixtool.compat("source", qemu="qemu-system-x86_64")  # type: ignore[call-arg]


def test_what_is_closed_says_so(sample: Path) -> None:
    with Dump.open(sample) as dump:
        loaded = dump.load()
    assert loaded.document()["ok"]
    with Dump.open(sample) as other:
        pass
    for ask in (other.inspect, other.load, other.validate, other.trace, lambda: dump.fields()["timer"]):
        with pytest.raises(UsageError, match="the stream is closed"):
            ask()


def test_a_load_writes_the_state_after_it(sample: Path, tmp_path: Path) -> None:
    lossy, after = tmp_path / "lossy", tmp_path / "after"
    msixtool.forge(sample, msixtool.make_spec({"devices": [{"name": "virtio-net", "pending": [1]}]}), lossy)
    answer = msixtool.load(lossy, output=after)
    assert answer.lost == (("0000:00:02.0/virtio-net", 0, 1),)
    assert (answer.ok, answer.written) == (False, str(after))
    assert msixtool.load(after).lost == ()
    lossy.write_bytes(lossy.read_bytes()[:-50_000])
    assert msixtool.load(lossy, output=tmp_path / "none").written is None
    assert not (tmp_path / "none").exists()


def test_a_forecast_writes_nothing(sample: Path) -> None:
    spec = msixtool.make_spec({"devices": [{"name": "e1000e", "pending": [3]}]})
    expected = msixtool.forecast(sample, spec)
    assert [(each.vector, each.field, each.b) for each in expected.changes] == [
        (2, "pending", False),
        (3, "pending", True),
    ]
    assert (expected.size, expected.places, expected.growth) == (1, 1, 0)


def test_logs_and_texts_are_explained(tool: Tool, tmp_path: Path) -> None:
    line = "qemu-system-x86_64: Unknown savevm section or instance '0000:00:04.0/e1000e' 0"
    log = tmp_path / "qemu.log"
    log.write_text(f"{line}\n")
    assert msixtool.explain(log).document() == tool("explain", "--json", log).json
    assert msixtool.explain(text=line).document() == tool("explain", "--json", "--text", line).json
    with_stream = msixtool.explain(log, stream=THREE)
    assert with_stream.document() == tool("explain", "--json", log, "--stream", THREE).json
    assert msixtool.explain(log, log).explanations
    with pytest.raises(UsageError, match="one of the two"):
        msixtool.explain(log, text=line)
    with pytest.raises(UsageError, match="one of the two"):
        msixtool.explain()


def test_a_script_is_played_and_a_load_recorded(sample: Path) -> None:
    with Dump.open(sample) as dump:
        script = dump.record("e1000e")
    assert msixtool.replay(text=script).ok
    wrong = msixtool.replay(text="init 2\nexpect unmasked 1\n")
    assert [step.line for step in wrong.failures] == [2]
    assert [line["ok"] for line in wrong.document()] == [True, False]
    samples = REPOSITORY / "samples"
    assert msixtool.replay(samples / "virtio-lost-interrupt.replay").ok


def test_answers_of_a_load_can_be_sent_to_other_processes(sample: Path) -> None:
    for answer in (msixtool.load(sample), *(answers(sample, THREE)[name][0] for name in ("show", "compat"))):
        assert pickle.loads(pickle.dumps(answer)).document() == answer.document()


def reached(value: object, seen: dict[int, object], depth: int = 0) -> Iterator[object]:
    """The values of msixtool that lead from one to the next, by fields and properties."""
    if id(value) in seen or depth > 6:
        return
    seen[id(value)] = value
    if isinstance(value, tuple | list):
        for each in value[:20]:
            yield from reached(each, seen, depth + 1)
    elif type(value).__module__.startswith("msixtool"):
        yield value
        names = [field.name for field in fields(value)] if is_dataclass(value) else []
        names += [name for name, member in inspect.getmembers(type(value)) if isinstance(member, property)]
        for name in names:
            with suppress(UsageError):  # what has to be read of a stream that is closed by now
                yield from reached(getattr(value, name), seen, depth + 1)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_whatever_an_answer_leads_to_has_a_repr_of_two_lines(path: Path) -> None:
    for answer, _ in answers(path, THREE).values():
        for value in reached(answer, {}):
            if type(value).__module__.startswith("msixtool.containers"):
                continue
            text = repr(value)
            assert len(text) <= LONGEST, (type(value), text[:LONGEST])
            assert text.isprintable()


def test_a_repr_shows_what_a_terminal_would_obey_escaped(sample: Path, tmp_path: Path) -> None:
    odd = tmp_path / "vm\x1b[2J.mig"
    odd.write_bytes(sample.read_bytes())
    with Dump.open(odd) as dump:
        for value in (dump, dump.inspect(), dump.load()):
            assert repr(value).isprintable()


def test_every_public_name_is_in_the_reference_and_typed() -> None:
    told = [name for names in GROUPS.values() for name in names.split()]
    assert sorted(told) == sorted(set(msixtool.__all__) - {"__version__"})
    for name in told:
        assert getattr(msixtool, name).__doc__ or not callable(getattr(msixtool, name)), name


def test_the_reference_is_what_the_docstrings_say() -> None:
    page = PAGE.read_text()
    assert page[page.index(MARK) + len(MARK) :] == reference(), "python -m tests.library.reference writes it"
