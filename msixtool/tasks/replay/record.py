"""The load path of a stream's device as a script that can be played, changed and passed on.

The script stands alone: it writes the state that the stream holds, saves it, loads it in a new
process as the device's kind does, and expects what tasks/load.py says of it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from msixtool.devices.device import MsixDevice
from msixtool.errors import InputError
from msixtool.formats import msix as fmt
from msixtool.msix.state import MsixEntry
from msixtool.msix.versions import NEWEST, QemuVersion
from msixtool.tasks.load import Loaded, load_device
from msixtool.tasks.replay.values import VectorWords

_WIDTH = 100
"""Columns of a line that names vectors; more of them go on the next one."""


def record_load(device: MsixDevice, qemu_version: QemuVersion = NEWEST, *, source: str | None = None) -> str:
    """The script of a device's load by `qemu_version`; `source` names the stream in its first comment.

    Raises InputError for a device whose configuration space is not in the stream, or that has more
    vectors than there can be: of such a load nothing can be said.
    """
    if device.capability is None or device.bus_master is None:
        raise InputError("the stream does not hold the configuration space of the device", device=device.name)
    if device.vectors > fmt.MAX_VECTORS:
        raise InputError(
            "number of vectors",
            device=device.name,
            expected=f"at most {fmt.MAX_VECTORS}",
            found=device.vectors,
        )
    loaded = load_device(device, qemu_version)
    lines = [
        *_heading(device, qemu_version, source),
        *_stream_lines(device, device.capability.control, device.bus_master),
        *_load_lines(device),
        *_expected_lines(loaded),
    ]
    return "\n".join(lines) + "\n"


def _heading(device: MsixDevice, version: QemuVersion, source: str | None) -> Iterator[str]:
    said = ".".join(map(str, version))
    of = "" if source is None else f" in {_plain(source)}"
    yield f"# The load path of {_plain(device.name)}{of}, as QEMU {said} goes it."
    yield f"qemu-version {said}"


def _stream_lines(device: MsixDevice, control: int, bus_master: bool) -> Iterator[str]:
    """What brings about the state in the stream; entries as after a reset are there already."""
    yield ""
    yield "# What the stream holds"
    yield f"init {device.vectors}"
    for vector, entry in enumerate(device.state.entries):
        if entry != MsixEntry():
            yield f"entry {vector} {entry.address:#x} {entry.data:#x} {entry.control:#x}"
    yield from _vectors("set-pending", (*device.state.pending, *device.state.stray_pending))
    yield f"restore-config {control:#x} {_switch(bus_master)}"
    yield "save stream"


def _load_lines(device: MsixDevice) -> Iterator[str]:
    profile = device.profile
    used = None if profile is None else profile.used.vectors(device.vectors)
    yield ""
    kind = _plain(device.kind)
    if used is None:
        yield f"# Which vectors the kind {kind} has marked used by now is not known; here it is all of them."
    else:
        what = {0: "none", device.vectors: "all"}.get(len(used), "some")
        yield f"# The process that loads it: {kind} has marked {what} of its vectors used by now."
    yield "new-process"
    yield f"init {device.vectors}"
    yield from _vectors("use", range(device.vectors) if used is None else sorted(used))
    yield "load stream"


def _expected_lines(loaded: Loaded) -> Iterator[str]:
    yield f"expect function-masked {_switch(bool(loaded.function_masked))}"
    if any(message.delivered is None for message in loaded.messages):
        known = " ".join(VectorWords().format(tuple(message.vector for message in loaded.messages)))
        yield f"# Whether the messages of these vectors are sent is not known: {known}"
    else:
        yield from _message_lines(loaded)
    after, vectors = loaded.after, range(loaded.after.vectors)
    held = {v for v in vectors if loaded.function_masked or after.entries[v].masked}
    yield from _vectors("expect masked", sorted(held))
    yield from _vectors("expect unmasked", sorted(set(vectors) - held))
    yield from _vectors("expect pending", (*after.pending, *after.stray_pending))
    yield from _vectors("expect not-pending", sorted(set(vectors) - set(after.pending)))
    if after == loaded.before:
        yield "expect state stream"
    yield from textwrap.wrap(_plain(loaded.recovery), _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _message_lines(loaded: Loaded) -> Iterator[str]:
    sent = [message for message in loaded.messages if message.delivered]
    yield " ".join(["expect messages", *VectorWords().format(tuple(message.vector for message in sent))])
    for message in sent:
        yield f"expect message {message.vector} address={message.address:#x} data={message.data:#x}"
    yield " ".join(["expect lost", *VectorWords().format(loaded.lost)])
    for reason in sorted({message.reason for message in loaded.messages if message.reason}):
        vectors = tuple(message.vector for message in loaded.messages if message.reason == reason)
        yield " ".join(["expect lost", *VectorWords().format(vectors), f"reason={reason}"])


def _vectors(action: str, numbers: Iterable[int]) -> Iterator[str]:
    """The action on these vectors, on as many lines as it takes; none for none."""
    line = action
    for word in VectorWords().format(tuple(numbers)):
        if len(line) + len(word) >= _WIDTH:
            yield line
            line = action
        line += f" {word}"
    if line != action:
        yield line


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _plain(text: str) -> str:
    """Text that stays on the line of its comment, whatever a stream calls its sections."""
    return "".join(character if character.isprintable() else "?" for character in text)
