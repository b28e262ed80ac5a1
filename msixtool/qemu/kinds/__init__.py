"""The kinds of devices: all that is known of each, in one declaration.

One module a family, as QEMU's hw/ has it; a kind registers itself under the name that its sections end in.
Whatever asks about a kind asks `kind_of`: how its MSI-X behaves, what of its configuration space is compared,
what machine types changed, what to advise, and what it is on a command line, where a stream tells of it as a
`Seen`. To add a kind is to add a declaration to its family; CONTRIBUTING.md has the recipe.

Source: QEMU hw/ of 5.2 to 10.2 (vmstate names, PCI ids, properties), `-device help` of 5.2 to 11.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from msixtool.errors import UsageError, meant
from msixtool.formats import pci
from msixtool.formats.idstr import kind_of_section
from msixtool.kept import NamedTuple
from msixtool.qemu.kinds.facts import NOTHING, Advice, Capabilities, Compat, Msix, PciFunction, Probe
from msixtool.qemu.kinds.features import COMMON_FEATURES, Feature
from msixtool.qemu.kinds.space import fresh_config, recorded_function, recorded_layouts
from msixtool.qemu.recorded import functions_of
from msixtool.qemu.versions import Version

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

FAMILIES = ("chipset", "display", "net", "ports", "storage", "usb", "virtio")
"""The modules of this package whose import fills the registry."""

ISA = "isa"
"""Key of `DeviceKind.devices`."""

Options = dict[str, str]
"""Properties of a `-device`, in the order in which they are printed."""


class Backend(StrEnum):
    """The property that ties a device to its backend, where it needs one."""

    NONE = ""
    DRIVE = "drive"
    FLOPPY = "floppy"
    CARD = "card"
    NETDEV = "netdev"
    CHARDEV = "chardev"
    AUDIODEV = "audiodev"
    MEMDEV = "memdev"
    RNG = "rng"
    FSDEV = "fsdev"
    BMC = "bmc"
    TPM = "tpmdev"
    CAN = "canbus"
    CAN_PAIR = "canbus0"


def no_options(_: Seen) -> Options:
    """For a device whose state shows no property."""
    return {}


def without_msi(seen: Seen) -> Options:
    """`msi=off` for a device whose capability is missing."""
    return {"msi": "off"} if seen.capability(pci.CapabilityId.MSI) is None else {}


def without_either(seen: Seen) -> Options:
    """The same for one where MSI and MSI-X can be switched off."""
    return without_msi(seen) | ({"msix": "off"} if seen.capability(pci.CapabilityId.MSIX) is None else {})


class DeviceKind(NamedTuple):
    """A kind of device by the name that its sections end in. What is not known of it is not said."""

    section: str

    # On a command line
    devices: Mapping[str, str] = NOTHING
    """Names for `-device` by PCI ids (`vendor:device`), under "" for all others, under ISA for that bus;
    empty where it is none."""
    options: Callable[[Seen], Options] = no_options
    backend: Backend = Backend.NONE
    rom: bool = False
    """Whether the device has an option ROM unless it is told otherwise."""
    port: bool = False
    """Whether there is a PCI bus behind it."""
    numbered: bool = False
    """Whether it has a slot: the pair of chassis and slot is its alone."""
    alone: bool = False
    """Whether a section without a path is a device to be asked for: one on ISA, or on no bus."""
    integrated: bool = False
    """Whether it comes with the machine, or with another section's device."""
    note: str | None = None
    """What its state does not tell."""
    doubt: Callable[[Seen], str | None] = lambda _: None
    """Why a load may fail whatever the command."""
    named: Callable[[Seen], str] | None = None
    """Tells devices of the same ids apart."""

    # In a stream
    msix: Msix | None = None
    probes: tuple[Probe, ...] = ()
    """How its configuration space is recorded (qemu/recorded), the likeliest layout first. Those of virtio
    are all as the one of them that is."""
    framebuffer: int | None = None
    """The BAR of a display's memory, which is a RAM block of its own with `vram` in its name."""
    is_virtio: bool = False
    virtio_ids: tuple[int, ...] = ()
    """PCI device ids of a virtio device: the modern one, which tells its type, and the transitional one."""
    features: Mapping[int, Feature] = NOTHING
    """virtio feature bits that are of this device type."""
    feature_config: Mapping[int, int] = NOTHING
    """By feature bit: the least bytes of configuration of a device that offers it."""
    paired: bool = False
    """Its virtqueues come in pairs, to receive and to transmit, and the source's number of them is made."""
    requests: bool = False
    """Its virtqueues hold requests alone, and Linux's driver has no timeout that would look again."""
    host_features: bool = False
    """What it offers comes from the host's kernel, or from a process beside QEMU."""
    sound: bool = False
    """It makes a QEMU read `audio`."""

    # From one side to the other
    since: Version | None = None
    """The first release that can load it, where not every one can."""
    changes: tuple[Compat, ...] = ()
    """What machine types have changed about it."""
    equal_after_load: Mapping[str, str] = NOTHING
    """Fields that it compares with its own when all is read, with their names in words: the vmdesc tells
    nothing of it."""
    loads_requests: bool = True
    """Whether a SCSI controller can load what its disks had in flight; without, the load is a crash."""
    only_equal: str | None = None
    """The one field that has to be the target's, where no message names it (since 10.2)."""
    by_property: frozenset[str] = frozenset()
    """Fields of its vmsd that are there or not by a property: both sides must agree."""
    equal_vmsd: str | None = None
    """A struct of which every field must be the target's."""
    subsections: tuple[str, ...] = ()
    """Those of a virtio device type, which no -dump-vmstate shows."""
    advice: Advice = Advice()

    def device(self, seen: Seen) -> str | None:
        """The name for `-device`; None where the ids are of none that is known."""
        if self.named is not None and (seen.config or not seen.is_pci):
            return self.named(seen)
        return self.devices.get(ids(seen.config)) or self.devices.get("")

    @property
    def function(self) -> PciFunction | None:
        """What of its configuration space is compared; None where that is not known."""
        record = self._record
        if record is None:
            return None
        return recorded_function(record, self.framebuffer, is_virtio=self.is_virtio)

    @property
    def capabilities(self) -> tuple[Capabilities, ...]:
        """Where it may have its capabilities, the likeliest first; none where that is not known."""
        record = self._record
        return (Capabilities(),) if record is None else recorded_layouts(record)

    @property
    def _record(self) -> str | None:
        if self.is_virtio and not self.probes:
            return _recorded_virtio()
        return self.section if self.probes else None

    def feature(self, bit: int) -> Feature:
        """What a virtio feature bit is of this device type; one that is not known is called by its number."""
        return COMMON_FEATURES.get(bit) or self.features.get(bit) or Feature(f"bit {bit}")


def ids(config: bytes) -> str:
    """`8086:100e` of a configuration space."""
    return f"{pci.VENDOR_ID.value(config):04x}:{pci.DEVICE_ID.value(config):04x}"


@lru_cache(maxsize=1)
def names_by_ids() -> dict[str, str]:
    """The names of devices, as `-device` has them (virtio's as sections have them), by `ids`."""
    found: dict[str, str] = {}
    for kind in kinds():
        found |= {f"{_RED_HAT:04x}:{number:04x}": kind.section for number in kind.virtio_ids}
        found |= {known: name for known, name in kind.devices.items() if ":" in known}
        if kind.probes and not kind.is_virtio:
            for probe, variant in zip(kind.probes, functions_of(kind.section), strict=True):
                name = probe.device or kind.devices.get("", kind.section)
                found.setdefault(ids(fresh_config(variant)), name)
    return found


_RED_HAT = 0x1AF4

_kinds: dict[str, DeviceKind] = {}


def register_kinds(*kinds: DeviceKind) -> None:
    """Make kinds known by the names of their sections."""
    for kind in kinds:
        assert kind.section not in _kinds, kind.section
        _kinds[kind.section] = kind


_of_strangers: dict[tuple[str, ...], Callable[[str], DeviceKind]] = {}


def register_strangers(beginnings: tuple[str, ...], made: Callable[[str], DeviceKind]) -> None:
    """Make known what is so of every kind whose section begins with one of `beginnings`."""
    _of_strangers[beginnings] = lru_cache(maxsize=1024)(made)


@lru_cache(maxsize=1)
def _registry() -> dict[str, DeviceKind]:
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")
    return _kinds


def kinds() -> Iterator[DeviceKind]:
    """All that are known."""
    yield from _registry().values()


@lru_cache(maxsize=1)
def _recorded_virtio() -> str:
    return next(kind.section for kind in kinds() if kind.is_virtio and kind.probes)


def kind_of(section: str | None) -> DeviceKind:
    """The kind of a section by its idstr or the last part of it.

    Of a stranger nothing is known but what is so of all virtio devices, where it is named as they are.
    """
    name = kind_of_section(section or "")
    found = _registry().get(name)
    if found is not None:
        return found
    for beginnings, made in _of_strangers.items():
        if name.startswith(beginnings):
            return made(name)
    return _STRANGER


_STRANGER = DeviceKind("")
"""All that is known of a kind of which nothing is."""


def device_kind(section: str) -> DeviceKind | None:
    """The kind of a section's last part where a `-device` makes one; None for all others."""
    found = kind_of(section)
    return found if found.devices or found.named else None


def check_kind(section: str) -> None:
    """Raises UsageError, naming those that are known and what was meant, for a kind without known MSI-X."""
    if kind_of(section).msix is not None:
        return
    with_msix = [kind for kind in kinds() if kind.msix is not None]
    known = sorted(kind.section for kind in with_msix if not kind.is_virtio)
    expected = f"one of {', '.join(known)}, virtio-net and other virtio-…"
    like = meant(section, (kind.section for kind in with_msix))
    raise UsageError(f"unknown kind {section[:100]!r}{like}", expected=expected)
