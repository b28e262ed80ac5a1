"""What QEMU's releases said of themselves when they were asked: RELEASE.json for each that was.

`python -m tests.record QEMU` in the repository writes one. Each has
`vmsds`: each VMStateDescription by its name (`NAME#2` for the second of one name): version_id,
minimum_version_id, its fields, and the keys of its subsections. A field is its name, version_id, bytes of
the C type, 1 where QEMU asks a function whether it is there, elements, and the key of the vmsd that it is:
as many of these as are known;
`types`: the key of the vmsd of each device type;
`subsections`: of those that no -dump-vmstate shows, because CPUs and virtio save themselves in code, the
version_id of each that the release knows;
`defaults`: what the properties of devices are unless they are set, by the device, or by the type that it
shares them with;
`compat`: by the version of machine types, what those up to it set otherwise than later ones. QEMU tells of
it since 9.1, for the machine types that it has;
`functions`: by the name of their section, the configuration space of kinds in each variant that was tried.
`header`, `capabilities` and `extended` (id and offset) say how it is laid out, `bars` size and type of those
that are registered. `config` are its fresh bytes, `compared` the bits that a load compares (cmask without
wmask and w1cmask), `written` those that a guest can make 1 and 0: runs of bytes that are not 0, by the offset
in hexadecimal. The first two are missing where the release does not save such a device.

Source: x86_64 builds of Debian.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Version, parse_version

if TYPE_CHECKING:
    from pathlib import Path

Record = Mapping[str, Any]


@lru_cache(maxsize=1)
def _paths() -> dict[Version, Path]:
    """The files by release, the oldest first."""
    from pathlib import Path

    found = {parse_version(path.stem): path for path in Path(__file__).parent.glob("*.json")}
    return dict(sorted(found.items()))


@lru_cache
def _record(release: Version) -> Record:
    import json

    found: Record = json.loads(_paths()[release].read_text("utf-8"))
    return found


@lru_cache(maxsize=1)
def releases() -> dict[Version, Record]:
    """The records by release, the oldest first."""
    return {release: _record(release) for release in _paths()}


def _newest_first() -> Iterator[Record]:
    """The records, each read where it comes to that."""
    return (_record(release) for release in reversed(_paths()))


def functions_of(section: str) -> list[Record]:
    """The variants of a kind of device in the newest release that says what it compares of them.

    Raises LookupError where none was recorded with it.
    """
    for record in _newest_first():
        found: list[Record] = record["functions"].get(section, [])
        if found and all("compared" in variant for variant in found):
            return found
    raise LookupError(f"no release is recorded with {section}")


def vmsd_of(key: str) -> str:
    """The name of the vmsd under a key."""
    return key.partition("#")[0]


def minimum_versions(release: Version, vmsd: str) -> frozenset[int]:
    """The minimum_version_id of each vmsd of this name that a release has."""
    return _minimums(release).get(vmsd, frozenset())


@lru_cache
def _minimums(release: Version) -> dict[str, frozenset[int]]:
    """Those of all vmsds by name."""
    found: dict[str, frozenset[int]] = {}
    for key, row in releases()[release]["vmsds"].items():
        found[vmsd_of(key)] = found.get(vmsd_of(key), frozenset()) | {row[1]}
    return found


@lru_cache
def subsections(release: Version) -> frozenset[str]:
    """The names of all subsections that a release knows."""
    record = releases()[release]
    shown = (vmsd_of(key) for *_, below in record["vmsds"].values() for key in below)
    return frozenset((*shown, *record["subsections"]))


class Setting(NamedTuple):
    """What machine types up to a version have set."""

    until: Version
    value: str


@lru_cache(maxsize=1)
def settings() -> dict[str, list[Setting]]:
    """What machine types set, by `device,property`, the oldest first. Later releases have fewer of them."""
    found: dict[str, dict[Version, Setting]] = {}
    for record in releases().values():
        for text, row in record["compat"].items():
            until = parse_version(text)
            for name, value in row.items():
                found.setdefault(name, {})[until] = Setting(until, str(value))
    return {name: sorted(of.values()) for name, of in found.items()}


def setting_of(device: str, name: str, machine: Version) -> Setting | None:
    """What a machine type of this version sets of a device's property; None where it leaves the default."""
    known = settings().get(f"{device},{name}", ())
    return next((each for each in known if machine <= each.until), None)


def value_of(device: str, name: str, machine: Version) -> str | None:
    """What a device's property is for a machine type of this version; None where that is not recorded."""
    found = setting_of(device, name, machine)
    return _default(device, name) if found is None else found.value


def default_of(name: str, machine: Version | None, *devices: str) -> str:
    """What a property is unless it is set, for a machine type of this version, None for the newest; booleans
    as on and off. `devices` are the device and the types that it is of, or is made of.

    Raises LookupError where that is not recorded.
    """
    set_for = (setting_of(device, name, machine) for device in devices) if machine else ()
    values = [found.value for found in set_for if found is not None]
    values += [value for device in devices if (value := _default(device, name)) is not None]
    if not values:
        raise LookupError(f"the default of {name} is not recorded")
    return _BOOLEANS.get(values[0], values[0])


_BOOLEANS = {"true": "on", "false": "off"}


def _default(device: str, name: str) -> str | None:
    """What the newest release that has the property says."""
    for record in _newest_first():
        value = record["defaults"].get(device, {}).get(name)
        if value is not None:
            return ("off", "on")[value] if isinstance(value, bool) else str(value)
    return None
