"""The driver's side of a modern virtio-pci device: the registers that say which vectors it uses.

Source: Virtual I/O Device (VIRTIO) Specification 1.2, sections 3.1 and 4.1.4.
"""

from __future__ import annotations

from .guest import Guest
from .pci import CAP_VENDOR, Function
from .wire import GuestError

CFG_COMMON = 1
MSIX_CONFIG, STATUS, QUEUE_SELECT, QUEUE_VECTOR = 0x10, 0x14, 0x16, 0x1A
FEATURE_SELECT, FEATURES, DRIVER_SELECT, DRIVER_FEATURES = 0x00, 0x04, 0x08, 0x0C
QUEUE_SIZE, QUEUE_ENABLE, QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x18, 0x1C, 0x20, 0x28, 0x30
ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK = 1, 2, 8, 4
NO_VECTOR = 0xFFFF


class Virtio:
    """The common configuration structure of one device, whose BARs must be placed."""

    def __init__(self, guest: Guest, function: Function) -> None:
        self._qtest = guest.qtest
        for kind, offset in function.capabilities():
            if kind == CAP_VENDOR and function.read(offset + 3, 1) == CFG_COMMON:
                bar, start = function.read(offset + 4, 1), function.read(offset + 8, 4)
                self._base = function.bar_address(bar) + start
                return
        raise GuestError(f"{function.path}: no virtio common configuration")

    @property
    def config_vector(self) -> int | None:
        return _vector(self._read(MSIX_CONFIG, 2))

    @config_vector.setter
    def config_vector(self, vector: int | None) -> None:
        self._write(MSIX_CONFIG, NO_VECTOR if vector is None else vector, 2)

    def queue_vector(self, queue: int) -> int | None:
        self._write(QUEUE_SELECT, queue, 2)
        return _vector(self._read(QUEUE_VECTOR, 2))

    def set_queue_vector(self, queue: int, vector: int | None) -> None:
        self._write(QUEUE_SELECT, queue, 2)
        self._write(QUEUE_VECTOR, NO_VECTOR if vector is None else vector, 2)

    def negotiate(self) -> None:
        """Take all features that the device offers."""
        for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            self._write(STATUS, status, 1)
        for half in (0, 1):
            self._write(FEATURE_SELECT, half, 4)
            self._write(DRIVER_SELECT, half, 4)
            self._write(DRIVER_FEATURES, self._read(FEATURES, 4), 4)
        self._write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK, 1)

    def ready(self) -> None:
        """Report DRIVER_OK: the device may interrupt from now on."""
        self._write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 1)

    def enable_queue(self, queue: int, address: int) -> int:
        """Lay a queue of its full size out at `address` in guest memory and enable it; its size."""
        self._write(QUEUE_SELECT, queue, 2)
        size = self._read(QUEUE_SIZE, 2)
        parts = (address, address + 16 * size, address + 16 * size + _round(6 + 2 * size))
        for register, part in zip((QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE), parts, strict=True):
            self._write(register, part & 0xFFFFFFFF, 4)
            self._write(register + 4, part >> 32, 4)
        self._write(QUEUE_ENABLE, 1, 2)
        return size

    def _read(self, register: int, size: int) -> int:
        return self._qtest.load(self._base + register, size)

    def _write(self, register: int, value: int, size: int) -> None:
        self._qtest.store(self._base + register, value, size)


def _vector(value: int) -> int | None:
    return None if value == NO_VECTOR else value


def _round(size: int) -> int:
    return (size + 4095) // 4096 * 4096
