"""Harmless backends: what devices need behind them to be made.

Source: QEMU qapi/block-core.json (null-co), net/slirp.c, backends/hostmem-ram.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msixtool.formats import parse, sizeof, virtio as fmt
from msixtool.qemu.kinds import Backend, kind_of
from msixtool.qemu.kinds.seen import Seen
from msixtool.ram.memory_map import backends
from msixtool.stream.items import RamBlock
from msixtool.tasks.cmdline.seen import SeenDevice
from msixtool.tasks.cmdline.words import Words, is_id, joined, size_text

_DISK_SIZES = {Backend.DRIVE: "1M", Backend.FLOPPY: "1440K", Backend.CARD: "64M"}
_PLAIN: Mapping[Backend, tuple[str, str, str, dict[str, str]]] = {
    Backend.CHARDEV: ("chr", "-chardev", "null", {}),
    Backend.AUDIODEV: ("snd", "-audiodev", "none", {}),
    Backend.RNG: ("rng", "-object", "rng-random", {"filename": "/dev/urandom"}),
    Backend.CAN: ("can", "-object", "can-bus", {}),
}
"""Those that are the same for every device: how ids begin, option, type and properties."""
TPM_SOCKET = "swtpm-sock"
"""Where a TPM has to listen."""
_OWN_MEMORY = 64 << 10
_SECTOR = 512
_MOST_PAIRS = 256
_MOST_DISK = 1 << 50


@dataclass
class Backends:
    """Makes them and gives the property that names them."""

    words: Words
    names: frozenset[str]
    blocks: Sequence[RamBlock]
    networks: int = 0
    bmcs: list[str] = field(default_factory=list)
    """Baseboard controllers that no interface has taken: one serves one interface."""
    taken: set[str] = field(default_factory=set)

    def of(self, kind: Backend, device: Seen | None = None) -> dict[str, str]:
        """The property of a device whose backend has been made just now."""
        if kind in _PLAIN:
            stem, option, what, more = _PLAIN[kind]
            name = self.words.id(stem)
            self.words.add(option, joined(what, {"id": name} | more))
            return {kind.value: name}
        made = getattr(self, f"_{kind.value}", None)
        result: dict[str, str] = {} if made is None else made(device)
        return result

    def _drive(self, device: SeenDevice | None) -> dict[str, str]:
        size = None if device is None else _disk_size(device)
        return self._disk(Backend.DRIVE, size)

    def _floppy(self, _: SeenDevice | None) -> dict[str, str]:
        return self._disk(Backend.FLOPPY)

    def _card(self, _: SeenDevice | None) -> dict[str, str]:
        return self._disk(Backend.CARD)

    def _disk(self, kind: Backend, size: int | None = None) -> dict[str, str]:
        name = self.words.id("disk")
        text = size_text(size) if size else _DISK_SIZES[kind]
        options = {"if": "none", "id": name, "driver": "null-co", "size": text, "read-zeroes": "on"}
        self.words.add("-drive", joined("", options))
        if not size:
            self.words.note(
                "-drive", f"{name}: how large the disk is, and what is on it, is not in the stream"
            )
        return {"drive": name}

    def _netdev(self, device: SeenDevice | None) -> dict[str, str]:
        name = self.words.id("net")
        pairs = _queue_pairs(device)
        if pairs is None:
            self.words.add("-netdev", joined("user", {"id": name}))
            self.networks += 1
        else:
            options = {"id": name, "script": "no", "downscript": "no"}
            if pairs > 1:
                options["queues"] = str(pairs)
            self.words.add("-netdev", joined("tap", options))
            self.words.note(
                "-netdev",
                f"{name}: a tap device, as the guest uses a header or queues that only tap networks have",
            )
        return {"netdev": name}

    def _fsdev(self, _: SeenDevice | None) -> dict[str, str]:
        name = self.words.id("fs")
        self.words.add("-fsdev", joined("local", {"id": name, "path": "/tmp", "security_model": "none"}))
        self.words.note("-fsdev", f"{name}: which folder is shared, and by what tag, is not in the stream")
        return {"fsdev": name, "mount_tag": name}

    def _bmc(self, _: SeenDevice | None) -> dict[str, str]:
        if not self.bmcs:
            self.add_bmc()
        return {"bmc": self.bmcs.pop(0)}

    def add_bmc(self) -> None:
        """A controller for the next interface."""
        name = self.words.id("bmc")
        self.bmcs.append(name)
        self.words.add("-device", joined("ipmi-bmc-sim", {"id": name}))

    def _tpmdev(self, _: SeenDevice | None) -> dict[str, str]:
        character, name = self.words.id("chr"), self.words.id("tpm")
        self.words.add("-chardev", joined("socket", {"id": character, "path": TPM_SOCKET}))
        self.words.add("-tpmdev", joined("emulator", {"id": name, "chardev": character}))
        self.words.note(
            "-tpmdev",
            f"{name}: a new swtpm has to listen at {TPM_SOCKET} first; the state is in the stream"
            f" (swtpm socket --tpm2 --tpmstate dir=FOLDER --ctrl type=unixio,path={TPM_SOCKET})",
        )
        return {"tpmdev": name}

    def _canbus0(self, _: SeenDevice | None) -> dict[str, str]:
        bus = self.of(Backend.CAN)["canbus"]
        return {"canbus0": bus, "canbus1": bus}

    def _memdev(self, device: SeenDevice | None) -> dict[str, str]:
        """A backend of its own: by its path, or the smallest that has none."""
        assert device is not None
        name, size = self._memory_of(device)
        if not is_id(name) or name in self.words.ids:
            name = self.words.id("mem")
        self.words.ids.add(name)
        self.words.add("-object", joined("memory-backend-ram", {"id": name, "size": size_text(size)}))
        return {"memdev": name}

    def _memory_of(self, device: SeenDevice) -> tuple[str, int]:
        own = self._own_blocks.get(device.path)
        if own is not None:
            return own.idstr.removeprefix(f"{device.path}/"), own.used_length
        block = next(self._smallest, None)
        if block is None:
            return "", _OWN_MEMORY
        self.taken.add(block.idstr)
        return block.named.kind, block.used_length

    @cached_property
    def _own_blocks(self) -> dict[str, RamBlock]:
        """The first RAM block of each path whose name below that has no dot."""
        found: dict[str, RamBlock] = {}
        for block in self.blocks:
            path, _, name = block.idstr.partition("/")
            if "." not in name:
                found.setdefault(path, block)
        return found

    @cached_property
    def _smallest(self) -> Iterator[RamBlock]:
        """The backends that no device has taken, the smallest first."""
        return iter(sorted(backends(self.blocks), key=lambda block: block.used_length))


def _queue_pairs(device: SeenDevice | None) -> int | None:
    """How many pairs of queues a tap network must have; None where a user network will do."""
    if device is None or device.virtio is None:
        return None
    header, pairs = device.virtio.own("has_vnet_hdr"), device.virtio.own("max_queue_pairs")
    more = pairs if isinstance(pairs, int) and 1 <= pairs <= _MOST_PAIRS else 1
    return more if header or more > 1 else None


def _disk_size(device: SeenDevice) -> int | None:
    """Of a virtio disk whose driver has read its configuration: `capacity` in sectors comes first."""
    if device.virtio is None or not kind_of(device.kind).requests:
        return None
    config = device.virtio.device_config.ljust(sizeof(fmt.BLK_CONFIG), b"\0")
    size = parse(fmt.BLK_CONFIG, config, what="a virtio disk's configuration").capacity * _SECTOR
    return size if 0 < size <= _MOST_DISK else None
