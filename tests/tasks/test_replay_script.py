"""Scripts as text: what a line may be, what an error says, and that a script spelt anew is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from msixtool.errors import InputError, UsageError
from msixtool.tasks.replay.grammar import Form, When
from msixtool.tasks.replay.script import FORMS, MAX_SIZE, Script, Statement, parse_script, read_script
from msixtool.tasks.replay.values import (
    EVENTS,
    VECTOR_EVENTS,
    BarOffset,
    EventPattern,
    EventPatterns,
    Number,
    OneOf,
    PlaceInBar,
    Switch,
    ValueKind,
    VectorList,
    VectorWords,
    VersionWord,
    Word,
)
from tests.conftest import REPOSITORY

NUMBERS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=9).map(tuple)
RUNS = st.builds(
    lambda first, length: tuple(range(first, first + length)), st.integers(0, 99), st.integers(1, 99)
)
PATTERNS = st.sampled_from(EVENTS).flatmap(
    lambda event: st.builds(
        EventPattern,
        st.just(event),
        st.none() | st.integers(0, 0xFFFF) if event in VECTOR_EVENTS else st.none(),
    )
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=12)

VALUES: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    Number: lambda kind: st.sampled_from(kind.allowed) if kind.allowed else st.integers(0, kind.high),
    OneOf: lambda kind: st.sampled_from(kind.words),
    Switch: lambda _: st.booleans(),
    Word: lambda _: WORDS,
    VersionWord: lambda _: st.lists(st.integers(0, 99), min_size=2, max_size=3).map(tuple),
    PlaceInBar: lambda _: st.builds(
        BarOffset, st.integers(0, 5), st.integers(0, 1 << 32 - 1), st.none() | st.integers(0, 1 << 63)
    ),
    VectorWords: lambda _: st.just("all") | NUMBERS | RUNS,
    VectorList: lambda _: st.just("all") | NUMBERS | RUNS | st.just(()),
    EventPatterns: lambda _: st.lists(PATTERNS, min_size=1, max_size=5).map(tuple),
}
"""Any value of each kind."""


def values(kind: ValueKind) -> st.SearchStrategy[Any]:
    return VALUES[type(kind)](kind)


def statements(*forms: Form) -> st.SearchStrategy[Statement]:
    """Any line of one of these forms."""

    def of(form: Form) -> st.SearchStrategy[Statement]:
        required = {p.name: values(p.kind) for p in form.parameters if p.required}
        optional = {p.name: values(p.kind) for p in form.parameters if not p.required}
        return st.builds(Statement, st.just(form), st.fixed_dictionaries(required, optional=optional))

    return st.sampled_from(forms).flatmap(of)


def having(*whens: When) -> list[Form]:
    return [form for form in FORMS.values() if form.when in whens]


@st.composite
def scripts(draw: st.DrawFn) -> list[Statement]:
    """Any script whose lines stand where they may: settings, a starting point, actions; perhaps again."""
    lines: list[Statement] = []
    for process in range(draw(st.integers(1, 3))):
        lines += [Statement(FORMS["new-process"], {})] if process else []
        lines += draw(st.lists(statements(*having(When.SETTING)), max_size=2))
        lines.append(draw(statements(*having(When.START, When.INIT))))
        later = [
            form for form in having(When.DEVICE, When.EXPECTATION, When.INIT) if form.name != "new-process"
        ]
        lines += draw(st.lists(statements(*later), max_size=12))
    return lines


@settings(max_examples=40)
@given(scripts())
def test_a_script_spelt_anew_is_the_same(lines: list[Statement]) -> None:
    text = "\n".join(map(str, lines))
    assert list(parse_script(text).statements) == lines


@settings(max_examples=40)
@given(scripts())
def test_a_line_as_it_was_written_reads_the_same(lines: list[Statement]) -> None:
    first = parse_script("\n".join(f"  {line}  # because" for line in lines))
    again = parse_script("\n".join(statement.text for statement in first.statements))
    assert again.statements == first.statements == tuple(lines)


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*FORMS, "0", "1-2", "all", "x", "=", "cap=", "'"])).map(" ".join)
)
def test_any_text_is_a_script_or_an_error_in_one_line(text: str) -> None:
    complaint = complaint_of(text)
    assert complaint is None or complaint.startswith("any")
    assert complaint is None or len(complaint.splitlines()) == 1
    assert complaint is None or len(complaint) < 1500


def complaint_of(text: str) -> str | None:
    """The error of reading a script, if any."""
    try:
        parse_script(text, name="any")
    except UsageError as error:
        return str(error)
    return None


def test_comments_blank_lines_and_quotes() -> None:
    script = parse_script("# a driver's\n\ninit 4 # isn't it\n  save 'a b#c'\n\r\nload \"a b#c\"\r\n")
    assert [(s.line, s.text) for s in script.statements] == [
        (3, "init 4"),
        (4, "save 'a b#c'"),
        (6, "load 'a b#c'"),
    ]


def test_numbers_are_decimal_or_hexadecimal() -> None:
    script = parse_script("init 0x4\nwrite table 12 0XfF\nmask 0-2 7 3")
    assert [s.values for s in script.statements] == [
        {"n": 4},
        {"offset": 12, "value": 255},
        {"vectors": (0, 1, 2, 7, 3)},
    ]


WRONG = [
    ("init", "script:1: init: N is missing: expected init N [table=PLACE] [pba=PLACE] [cap=OFFSET]"),
    ("init four", "script:1: init: N: expected a number from 0 to 4294967295, found 'four'"),
    ("init -1", "found '-1'"),
    ("init 4294967296", "found '4294967296'"),
    ("init 1" + "0" * 5000, "…'"),
    ("init 4 5", "script:1: init: a word too many: expected init N"),
    ("init 4 cap=0x40 cap=0x50", "init: cap is there twice"),
    ("init 4 foo=1", "init: a word too many"),
    ("init 4 table=6:0", "table: expected BAR:OFFSET or BAR:OFFSET:SIZE, the BAR from 0 to 5, found '6:0'"),
    ("init 4 table=1", "found '1'"),
    ("init 4 table=1:0:0:0", "found '1:0:0:0'"),
    ("init 4\nmask", "script:2: mask: VECTORS is missing: expected mask VECTORS"),
    ("init 4\nmask one", "expected vectors: numbers, ranges like 0-3, or all, found 'one'"),
    ("init 4\nmask 3-1", "found '3-1'"),
    ("init 4\nmask 0-65535", "mask: VECTORS: expected at most 4096 vectors, found '0-65535'"),
    ("init 4\nmask 1 0-4095", "found '0-4095'"),
    ("init 4\nmask 0 all", "found 'all'"),
    ("init 4\nset-mask 0 maybe", "set-mask: on|off: expected on or off, found 'maybe'"),
    ("init 4\nwrite table 0 0 3", "write table: SIZE: expected 1 or 2 or 4 or 8, found '3'"),
    ("init 4\nwrite config 0 0 8", "write config: WIDTH: expected 1 or 2 or 4, found '8'"),
    ("init 4\nwrite tabel 0 0", "(did you mean 'write table'?): expected one of write table, write pba"),
    ("init 4\nexpect pendign 0", "(did you mean 'expect pending'?): expected one of expect pending"),
    ("init 4\nexpect", "unknown expectation"),
    ("init 4\nexpect no interrupt", "expect no: EVENT: expected one of state-restored, function-mask"),
    ("init 4\nexpect events reset:1", "found 'reset:1'"),
    ("init 4\nexpect events message:x", "found 'x'"),
    ("init 4\nexpect lost 1 reason=bad", "expected one of vector-unused, bus-master-off, found 'bad'"),
    ("init 4\nnotifiers on failing=1,x", "with commas, all, or none, found '1,x'"),
    ("init 4\nsave ''", "save: NAME: expected a word, found ''"),
    ("qemu-version new", "expected a QEMU version like 10.0, found 'new'"),
    ("qemu-version 1." + "0" * 5000, "expected a QEMU version like 10.0"),
    ("init 4\nload 'x", "script:2: quote stands alone: expected another one, found \"'x\""),
    ("notfy 1", "script:1: unknown action (did you mean 'notify'?): expected one of qemu-version, xen"),
    ("notify 1", "no device yet: expected one of init, init-exclusive-bar, stream, state before it"),
    ("expect pending 1", "expect pending: there is no device yet"),
    ("init 4\nnew-process\nnotify 1", "script:3: notify: there is no device yet"),
    ("init 4\nqemu-version 7.2", "out of place, there is a device already: expected it at the start"),
    ("init 4\nstream a b", "stream: out of place"),
    ("# nothing\n", "script: script has no action"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_line_is_named_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_script(text)
    assert message in str(caught.value)


def test_an_unknown_action_is_told_all_that_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        parse_script("inti 4")
    for name in FORMS:
        assert name.removeprefix("expect ") in str(caught.value) or name.startswith("expect ")


def test_a_script_is_read_from_a_file_whose_folder_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "one.replay"
    path.write_bytes(b"\xef\xbb\xbfinit 4\n")
    script = read_script(str(path))
    assert isinstance(script, Script)
    assert (script.name, script.folder, len(script.statements)) == (str(path), str(tmp_path), 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"init 4\n\xff", "not UTF-8"), (b"#" * (MAX_SIZE + 1), "too long"), (None, "cannot be read")],
)
def test_a_file_that_is_no_script_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "broken.replay"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_script(str(path))


def test_the_documentation_names_every_action_with_its_usage() -> None:
    text = (REPOSITORY / "docs" / "replay.md").read_text().replace("\\|", "|")
    missing = [form.usage for form in FORMS.values() if f"| `{form.usage}` | {form.help} |" not in text]
    assert missing == []
