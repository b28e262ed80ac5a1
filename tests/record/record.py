"""One QEMU, asked: its vmstates by -dump-vmstate, properties by QMP, configuration spaces by trial.

Source: QEMU migration/savevm.c (dump_vmstate_json_to_file), qapi/qdev.json (device-list-properties),
qapi/machine.json (query-machines, whose compat-props came with 9.1).
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msixtool.qemu.recorded
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.versions import Version, format_version, machine_version
from msixtool.qemu.vmstates import ASKED
from tests.live.devices import device_names, version
from tests.live.wire import GuestError, Qmp
from tests.record.probe import functions
from tests.record.still import StillQemu

FOLDER = Path(msixtool.qemu.recorded.__file__).parent
_NO_DEVICE = "vmschkmachine"
_TELLS_COMPAT: Version = (9, 1)
_FAMILY = "pc-q35-"

Record = dict[str, Any]


def record(binary: str) -> Record:
    """All that the package reads of a QEMU: JSON of the documented form of qemu/recorded."""
    descriptions = _Descriptions()
    types = {name: descriptions.add(device["Description"]) for name, device in sorted(_dump(binary).items())}
    with StillQemu(binary, ["-machine", "none"]) as qemu:
        compat = _compat(qemu.qmp) if version(binary) >= _TELLS_COMPAT else {}
        defaults = _defaults(qemu.qmp, device_names(binary))
    return {
        "release": format_version(version(binary)),
        "types": types,
        "vmsds": dict(sorted(descriptions.rows.items())),
        "defaults": defaults,
        "compat": compat,
        "subsections": _subsections(binary),
        "functions": functions(binary),
    }


def text_of(made: Record) -> str:
    """JSON with a line for each entry, so that two releases can be compared line by line."""
    parts = []
    for key, value in made.items():
        text = json.dumps(value)
        if isinstance(value, dict):
            rows = ",\n".join(
                f"  {json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}"
                for name, row in value.items()
            )
            text = f"{{\n{rows}\n }}"
        parts.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dump(binary: str) -> dict[str, Any]:
    command = [binary, "-machine", "q35", "-display", "none", "-dump-vmstate", "/dev/stdout"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    dumped: dict[str, Any] = json.loads(run.stdout)
    del dumped[_NO_DEVICE]
    return {name: device for name, device in dumped.items() if "Description" in device}


class _Descriptions:
    """Each vmsd once, by its name; where several have one name, by the name and a number."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}

    def add(self, vmsd: dict[str, Any]) -> str:
        """The name under which a vmsd of a -dump-vmstate stands, with all that are in it."""
        row = [
            vmsd["version_id"],
            vmsd["minimum_version_id"],
            [self._field(field) for field in vmsd.get("Fields", ())],
            [self.add(subsection) for subsection in vmsd.get("Subsections", ())],
        ]
        key, number = str(vmsd["name"]), 1
        while self.rows.setdefault(key, row) != row:
            number += 1
            key = f"{vmsd['name']}#{number}"
        return key

    def _field(self, field: dict[str, Any]) -> list[Any]:
        """Name, version, size, whether a function is asked for it, elements, vmsd: up to the last known."""
        inside = self.add(field["Description"]) if "Description" in field else None
        row = [field["field"], field["version_id"], field["size"], int(field["field_exists"])]
        row += [field.get("num"), inside]
        while row[-1] is None:
            row.pop()
        return row


_VIRTIO = "virtio-net"
"""A kind that has what all virtio devices have."""


def _subsections(binary: str) -> dict[str, int]:
    """The version_id of each of those that no -dump-vmstate shows and the QEMU knows."""
    asked = defaultdict(list)
    for name in ASKED:
        vmsd = name.partition("/")[0].removesuffix("-device")
        asked[_VIRTIO if vmsd in ("virtio", "virtio_pci") else vmsd].append(name)
    devices = [kind_of(kind).devices.get("", "") for kind in asked]
    wanted = [word for device in filter(None, devices) for word in ("-device", device)]
    found: dict[str, int] = {}
    with StillQemu(binary, ["-machine", "q35", *wanted]) as qemu:
        said = qemu.save_snapshot()
        if said:
            raise GuestError(said)
        for kind, names in asked.items():
            found |= qemu.subsection_versions(kind, names)
    return dict(sorted(found.items()))


def _compat(qmp: Qmp) -> dict[str, dict[str, str]]:
    """By the version of machine types: what those up to it set otherwise than later ones, of q35's."""
    own: dict[Version, dict[str, str]] = {}
    for machine in qmp.execute("query-machines", compat_props=True):
        of = machine_version(machine["name"])
        if of is not None and machine["name"].startswith(_FAMILY):
            settings = machine.get("compat-props", ())
            own[of] = {f"{each['qom-type']},{each['property']}": each["value"] for each in settings}
    found, later = {}, dict[str, str]()
    for of, settings in sorted(own.items(), reverse=True):
        changed = {name: value for name, value in settings.items() if later.get(name) != value}
        if changed and later:
            found[str(format_version(of))] = dict(sorted(changed.items()))
        later = settings
    return dict(reversed(found.items()))


_SHARED = {"pci-device": "", "virtio-pci": "virtio-"}
"""Types whose properties all devices on PCI have that are named so, and which stand once."""
_ON_PCI = "rombar"
"""A property that devices on PCI have, and no others."""


_LIKE_ANOTHER = ("-transitional", "-non-transitional")
"""What the names of devices end in that have the properties of another one."""


def _defaults(qmp: Qmp, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The defaults of properties by device on PCI, or by the type that it shares them with."""
    own_names = sorted(name for name in names if not name.endswith(_LIKE_ANOTHER))
    listed = ((name, _properties(qmp, name)) for name in own_names)
    found = {name: own for name, own in listed if _ON_PCI in own}
    shared = {}
    for parent, prefix in _SHARED.items():
        children = [own for name, own in found.items() if name.startswith(prefix)]
        shared[parent] = {
            name: value
            for name, value in children[0].items()
            if all(name in own and own[name] == value for own in children)
        }
        for own in children:
            for name in shared[parent]:
                del own[name]
    return shared | {name: own for name, own in found.items() if own}


def _properties(qmp: Qmp, device: str) -> dict[str, Any]:
    try:
        listed = qmp.execute("device-list-properties", typename=device)
    except GuestError:
        return {}
    found = {each["name"]: each["default-value"] for each in listed if "default-value" in each}
    return dict(sorted(found.items()))
