"""Readers of text: SPEC, scripts, logs, QEMU's own description of its vmstate."""

from __future__ import annotations

import io
import json
import os
import tempfile
from functools import cache, lru_cache
from random import Random
from typing import Any

from msixtool import Dump
from msixtool.documents.compat import compat_document
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.spec import new_state, parse_spec, spec_text
from msixtool.tasks.compat import Comparison, compare, vmstate_file
from msixtool.tasks.compat.vmstate_diff import compare_files
from msixtool.tasks.forge import plan
from msixtool.tasks.replay.player import play
from msixtool.tasks.replay.script import FORMS, parse_script
from tests.fuzz import bases, json_text, plain_text
from tests.fuzz.outcome import Input, Outcome
from tests.fuzz.stream_readers import as_json, one_line

SHM = "/dev/shm" if os.path.isdir("/dev/shm") else None

_KEYS = (
    *("name", "instance", "vectors", "capability", "enabled", "function_mask", "bus_master", "entries"),
    *(
        "pending",
        "pba",
        "vector",
        "address",
        "data",
        "control",
        "masked",
        "offset",
        "bar",
        "table",
        "devices",
    ),
    *("fields", "e1000e", "virtio-net", "0000:00:03.0/e1000e", "*", "00ff", "0000:00:02.0/virtio-net"),
)


@cache
def streams() -> list[bases.Base]:
    """Streams that a SPEC is put to, a script names, or a log tells of."""
    return [base for base in bases.excerpts() if base.devices and len(base.data) < 12_000][:24]


@lru_cache(maxsize=8)
def dump_of(data: bytes) -> Dump:
    return Dump.open(io.BytesIO(data))


@cache
def _specs() -> list[tuple[str, str, bytes]]:
    """A SPEC in JSON, or in TOML as `save --text` writes it, and the stream that it is for."""
    found = []
    for base in streams():
        for device in dump_of(base.data).devices:
            text = spec_text(device, x86=True, origin=base.name)
            found.append((f"TOML of {base.name}", text, base.data))
            document: dict[str, Any] = {
                "devices": [
                    {
                        "name": device.name,
                        "instance": device.instance,
                        "enabled": True,
                        "bus_master": False,
                        "capability": {
                            "control": 0x8000 | device.vectors - 1,
                            "table": {"bar": 1, "offset": 64},
                        },
                        "entries": [{"vector": 0, "address": 1 << 32, "data": 5, "masked": False}],
                        "pending": [0],
                        "pba": "01",
                    }
                ],
                "fields": {f"{device.name}/config[4]": 7, f"{device.name}/version_id": 2},
            }
            found.append((f"JSON of {base.name}", json.dumps(document), base.data))
    return found


def spec_names() -> list[str]:
    return [name for name, _, _ in _specs()]


def spec(rng: Random) -> Input:
    """A SPEC with other values, keys or syntax."""
    name, text, stream = rng.choice(_specs())
    if name.startswith("JSON") and rng.random() < 0.85:
        text = json_text.mutate(rng, text, words=_KEYS)
    else:
        text = plain_text.mutate(rng, text, _KEYS, [rng.choice(_specs())[1]])
    return Input(name, text.encode("utf-8", "surrogatepass" if rng.random() < 0.1 else "replace"), stream)


def mutate_spec(rng: Random, data: bytes) -> bytes:
    """Any SPEC with other values, keys or syntax."""
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return json_text.mutate(rng, text, words=_KEYS).encode("utf-8", "replace")
    return plain_text.mutate(rng, text, _KEYS).encode("utf-8", "replace")


def read_spec(made: Input) -> Outcome:
    """A SPEC is read; states are made of it alone, and it is planned onto its stream."""
    from msixtool.errors import MsixtoolError

    asked = parse_spec(made.data)
    for device in asked.devices:
        try:
            new_state(device)
        except MsixtoolError as error:
            one_line(str(error))
    try:
        plan(dump_of(made.other), asked)
    except MsixtoolError as error:
        one_line(str(error))
        return Outcome.PARTLY
    return Outcome.WHOLE


@cache
def _scripts() -> list[tuple[str, str]]:
    from msixtool.tasks.replay.record import record_load

    found = [
        (path.name, path.read_text()) for path in sorted((bases.REPOSITORY / "samples").glob("*.replay"))
    ]
    for base in streams()[:8]:
        for device in dump_of(base.data).devices:
            if device.capability is not None:
                found.append((f"load of {base.name}", record_load(device)))
    return found


@cache
def _words() -> tuple[str, ...]:
    """What stands in scripts: the words of all forms, and values."""
    words = {word for form in FORMS for word in form.split()}
    return (
        *sorted(words),
        "on",
        "off",
        "none",
        "all",
        "0-3",
        "0,2",
        "*",
        "0xfee00000",
        "vectors=3",
        "used=0",
    )


def script_names() -> list[str]:
    return [name for name, _ in _scripts()]


def script(rng: Random) -> Input:
    """A script with other lines and words; the files that it names are not there."""
    name, text = rng.choice(_scripts())
    text = plain_text.mutate(rng, text, _words(), [rng.choice(_scripts())[1]])
    return Input(name, text.encode("utf-8", "replace"))


def mutate_script(rng: Random, data: bytes) -> bytes:
    """Any script with other lines and words."""
    return plain_text.mutate(rng, data.decode("utf-8", "replace"), _words()).encode("utf-8", "replace")


def read_script(made: Input) -> Outcome:
    """A script is read, and played to its end."""
    read = parse_script(made.data.decode("utf-8", "replace"), folder="/nowhere")
    all_ok = True
    for step in play(read):
        as_json(step.to_json())
        all_ok &= step.ok
    return Outcome.WHOLE if all_ok else Outcome.PARTLY


@cache
def _vmstates() -> list[tuple[str, str]]:
    """Descriptions as -dump-vmstate writes them, made of what vmdescs say."""
    found = []
    for base in bases.excerpts()[::12]:
        if base.description is not None:
            entries = json.loads(base.data[slice(*base.description)])["devices"]
            document: dict[str, Any] = {"vmschkmachine": {"Name": "pc-q35-7.2"}}
            for entry in entries:
                kind = entry["name"].rpartition("/")[2]
                document[kind] = {
                    "Name": kind,
                    "version_id": entry["version"],
                    "minimum_version_id": 1,
                    "Description": _description(entry),
                }
            found.append((f"vmstate of {base.name}", json.dumps(document)))
    return [(name, text) for name, text in found if len(text) < 20_000]


def _description(entry: dict[str, Any]) -> dict[str, Any]:
    fields = []
    for field in entry.get("fields", []):
        made = {"field": field["name"], "version_id": 0, "field_exists": False, "size": field.get("size", 0)}
        if isinstance(field.get("struct"), dict) and field["struct"]:
            made["Description"] = _description(field["struct"])
        if "array_len" in field:
            made["num"] = field["array_len"]
        fields.append(made)
    made = {"name": entry.get("vmsd_name", "x"), "version_id": entry.get("version", 1), "Fields": fields}
    made["minimum_version_id"] = 1
    made["Subsections"] = [_description(each) for each in entry.get("subsections", [])]
    return made


def vmstate_names() -> list[str]:
    return [name for name, _ in _vmstates()]


_VMSTATE = (
    "field",
    "version_id",
    "field_exists",
    "size",
    "Description",
    "Fields",
    "Subsections",
    "num",
    "Name",
)


def vmstate(rng: Random) -> Input:
    """A vmstate description with other values."""
    name, text = rng.choice(_vmstates())
    stream = rng.choice(streams()).data
    return Input(name, json_text.mutate(rng, text, words=_VMSTATE).encode("utf-8", "replace"), stream)


def mutate_state(rng: Random, data: bytes) -> bytes:
    """Any vmstate description with other values."""
    text = data.decode("utf-8", "replace")
    return json_text.mutate(rng, text, words=_VMSTATE).encode("utf-8", "replace")


def read_vmstate(made: Input) -> Outcome:
    """A vmstate description is read, compared with another, and a stream is held against it."""
    with tempfile.NamedTemporaryFile(dir=SHM) as file:
        file.write(made.data)
        file.flush()
        read = vmstate_file.read_vmstate_file(file.name)
    as_json(compat_document({}, {}, Comparison(tuple(compare_files(read, _whole_vmstate())))))
    as_json(compat_document({}, {}, Comparison(tuple(compare_files(_whole_vmstate(), read)))))
    dump = dump_of(made.other)
    as_json(compat_document({}, {}, compare(dump, dump, vmstate=read)))
    return Outcome.WHOLE


@cache
def _whole_vmstate() -> Vmstates:
    """One that nothing was changed in, to compare with: the longest."""
    text = max((text for _, text in _vmstates()), key=len)
    with tempfile.NamedTemporaryFile(dir=SHM) as file:
        file.write(text.encode())
        file.flush()
        return vmstate_file.read_vmstate_file(file.name)
