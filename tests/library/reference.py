"""The reference of docs/library.md, out of the docstrings: `python -m tests.library.reference` writes it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, is_typeddict

import msixtool
from msixtool.dump import OpenDump
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "library.md"
MARK = "<!-- Below: python -m tests.library.reference -->\n"

GROUPS = {
    "Opening": "Dump open_input Saved ALTERNATIVE believed_ratio told bars",
    "One stream in, one document out": "inspect validate compat",
    "Questions without a stream": (
        "load explain replay capture captured address_of Address trace_vm watch_vm target_of Target "
        "compare_vmstates is_vmstate_file check_rules kind_names rule_names device_names"
    ),
    "Making streams and states": (
        "forge forecast forge_new make_state make_spec read_spec Forged Forecast Spec DeviceSpec EntrySpec"
    ),
    "Keywords that several of them take": (
        "OpenOptions TargetOptions DiffOptions CommandOptions CaptureOptions"
    ),
    "Answers": (
        "Answer Origin Inspection Vectors Fields Description Load Validation Difference Compatibility "
        "Tracing Command Explained Replay Capture Look"
    ),
    "Values in them": (
        "MsixDevice MsixState MsixEntry MsixCapability Item Section Group Elements Leaf Loaded Message "
        "Finding Severity Code RuleFinding Change FieldChange DeviceView RamChange BlockDigest Traced "
        "Interrupt Route Ring Verdict Explanation Step Captured Trial"
    ),
    "Errors": (
        "MsixtoolError UsageError InputError NotAStreamError FormatError TruncatedError ContainerError "
        "OutputError"
    ),
}
"""Every public name, in the order in which it is told."""


def reference() -> str:
    """The text of the reference."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for heading, names in GROUPS.items():
        yield from ("", f"### {heading}", "")
        for name in names.split():
            yield from _told(name, getattr(msixtool, name))


def _told(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield from (f"#### `{name}`", "", *_text(value), "")
        yield from _members(value)
    elif inspect.isfunction(value):
        yield from (
            f"#### `{name}`",
            "",
            "```python",
            f"{name}{_signature(value)}",
            "```",
            "",
            *_text(value),
            "",
        )
    else:
        yield from (f"#### `{name}`", "", *_constant(name), "")


def _members(value: type) -> Iterator[str]:
    if issubclass(value, Enum):
        yield from (", ".join(f"`{member.value}`" for member in value) + ".", "")
        return
    if held := _held(value):
        yield from (f"Holds {', '.join(f'`{name}: {type}`' for name, type in held.items())}.", "")
    own = {name: member for each in _homes(value) for name, member in vars(each).items()}
    lines = [line for name, member in own.items() for line in _member(name, member)]
    yield from (*lines, "") if lines else ()


def _held(value: type) -> dict[str, str]:
    """The public fields of a dataclass, a NamedTuple or a TypedDict, with their types."""
    if is_typeddict(value):
        types = {name: type.__forward_arg__ for name, type in value.__annotations__.items()}
    elif dataclasses.is_dataclass(value):
        types = {field.name: field.type for field in dataclasses.fields(value)}
    else:
        types = {name: value.__annotations__[name] for name in getattr(value, "_fields", ())}
    return {name: _public(type) for name, type in types.items() if not name.startswith("_")}


def _homes(value: type) -> list[type]:
    """The classes whose members are told with it: its own, and those that it adds questions to."""
    return [OpenDump, value] if value is msixtool.Dump else [value]


def _member(name: str, member: Any) -> Iterator[str]:
    """A line for a public method or property, with the first paragraph of what it says of itself."""
    if name.startswith("_") and name != "__getitem__":
        return
    bare = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    if isinstance(bare, property | cached_property) and bare.__doc__:
        yield f"- `{name}`: {_paragraphs(bare)[0]}"
    elif inspect.isfunction(bare) and bare.__doc__:
        text = " ".join(_paragraphs(bare))
        signature = f"{name}{_signature(bare, bound=not isinstance(member, staticmethod))}"
        if name == "__getitem__":
            signature = signature.removeprefix(name).replace("(", "[", 1).replace(")", "]", 1)
        yield f"- `{signature}`: {text}"


def _text(value: Any) -> list[str]:
    return "\n\n".join(_paragraphs(value)).split("\n")


def _paragraphs(value: Any) -> list[str]:
    """What it says of itself: paragraphs of one line each, but for lists."""
    parts = (inspect.getdoc(value) or "").split("\n\n")
    return [part if part.startswith(("-", " ")) else " ".join(part.split()) for part in parts]


def _constant(name: str) -> list[str]:
    """What stands below a constant in its module: a string that Python does not keep."""
    module = import_module(f"msixtool.{msixtool._HOMES[name]}")
    lines = Path(str(inspect.getsourcefile(module))).read_text().split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith((f"{name} ", f"{name}:")))
    return [lines[at + 1].strip('"')]


def _signature(function: Any, *, bound: bool = False) -> str:
    """As it is written in the code, in one line."""
    signature = inspect.signature(function)
    parts: list[str] = []
    star = False
    for parameter in list(signature.parameters.values())[bound:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        annotation = re.sub(r"Unpack\[(\w+)\]", r"\1", parameter.annotation)
        parts.append(f"{mark}{parameter.name}: {annotation}{default}")
    return _public(f"({', '.join(parts)}) -> {signature.return_annotation}")


def _public(annotation: Any) -> str:
    """What is said of a type: an opened stream is a Dump to whoever reads this."""
    return str(annotation).replace(OpenDump.__name__, msixtool.Dump.__name__)


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(MARK)] + MARK + reference())
