"""Every document that a command prints is as its published schema says, and the schema is not empty talk."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from msixtool import schemas
from msixtool.cli import COMMANDS, run
from tests.conftest import REPOSITORY, SAMPLES

FOUR = REPOSITORY / "samples" / "q35-net-4-vectors-7.2.mig.xz"
THREE = REPOSITORY / "samples" / "q35-net-3-vectors-7.2.mig.xz"
WITHOUT_JSON = {"save", "forge"}
LOG = "qemu-system-x86_64: Unknown savevm section or instance '0000:00:05.0/e1000e' 0"

REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schemas.read(name))) for name in schemas.names()
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schemas.read(name), registry=REGISTRY)


def printed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, Any]]:
    """The documents that a command prints with --json: one, or a line each."""
    assert run([*map(str, words), "--json"]) in (0, 1)
    out = capsys.readouterr().out
    if out.startswith("{\n"):
        return [json.loads(out)]
    return [json.loads(line) for line in out.splitlines()]


def test_every_command_that_has_a_document_has_a_schema() -> None:
    assert set(COMMANDS) - WITHOUT_JSON <= set(schemas.names())


@pytest.mark.parametrize("name", schemas.names())
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas.read(name))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("command", ["inspect", "show", "fields", "load", "validate"])
def test_documents_of_a_stream_are_valid(
    command: str, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for document in printed(capsys, command, sample):
        validator(command).validate(document)


def test_documents_of_two_streams_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    for sample in SAMPLES:
        for command in ("diff", "compat"):
            for document in printed(capsys, command, sample, FOUR):
                validator(command).validate(document)


def test_the_document_of_explain_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    (document,) = printed(capsys, "explain", "--text", LOG)
    assert document["explanations"]
    validator("explain").validate(document)


def test_each_line_of_replay_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "replay", REPOSITORY / "samples" / "virtio-lost-interrupt.replay")
    assert len(lines) > 3
    for line in lines:
        validator("replay").validate(line)


def test_a_document_that_lacks_a_field_or_has_another_type_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (document,) = printed(capsys, "show", FOUR)
    valid = validator("show").is_valid
    assert valid(document)
    for name in document:
        assert not valid({key: value for key, value in document.items() if key != name}), name
    spoilt = copy.deepcopy(document)
    spoilt["devices"][0]["entries"][0]["address"] = "0xfee00000"
    assert not valid(spoilt)
