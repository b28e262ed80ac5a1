"""Network cards but for virtio's.

Source: QEMU hw/net/ (e1000.c, eepro100.c, vmxnet3.c, …); the names of eepro100's sections are its models'.
"""

from __future__ import annotations

from collections.abc import Callable

from msixtool.qemu.kinds import Backend, DeviceKind, Options, Seen, register

_EEPRO100 = (
    "i82550 i82551 i82557a i82557b i82557c i82558a i82558b i82559a i82559b i82559c i82559er i82562 i82801"
)
_SERIAL_NUMBER = 0x3


def _mac(seen: Seen, *paths: str) -> Options:
    for path in paths:
        value = seen.value(path)
        if isinstance(value, str) and len(value) >= 12:
            octets = bytes.fromhex(value[:12])
        elif isinstance(value, list) and len(value) >= 6 and all(isinstance(each, int) for each in value[:6]):
            octets = bytes(each & 0xFF for each in value[:6])
        else:
            continue
        if any(octets) and not octets[0] & 1:
            return {"mac": octets.hex(":")}
    return {}


def _rtl8139(seen: Seen) -> Options:
    return _mac(seen, "phys")


def _serial(order: tuple[int, ...]) -> Callable[[Seen], Options]:
    """The MAC out of the serial number capability: `order` says which of its bytes are the MAC's."""

    def options(seen: Seen) -> Options:
        at = seen.extended(_SERIAL_NUMBER)
        if at is None:
            return {}
        serial = seen.config[at + 4 : at + 12]
        octets = bytes(serial[index] for index in order) if len(serial) == 8 else b"\1"
        return {"mac": octets.hex(":")} if any(octets) and not octets[0] & 1 else {}

    return options


_VMXNET3 = (4, 5, 6, 1, 2, 3)
_E1000E = (7, 6, 5, 2, 1, 0)


def _net(section: str, devices: dict[str, str] | str, **more: object) -> DeviceKind:
    names = {"": devices} if isinstance(devices, str) else devices
    return DeviceKind(section, names, backend=Backend.NETDEV, rom=True, **more)  # type: ignore[arg-type]


register(
    _net("e1000", {"": "e1000", "8086:100c": "e1000-82544gc", "8086:100f": "e1000-82545em"}),
    _net("e1000e", "e1000e", options=_serial(_E1000E)),
    _net("igb", "igb", options=_serial(_E1000E)),
    _net("ne2000", "ne2k_pci"),
    _net("pcnet", "pcnet"),
    _net("rtl8139", "rtl8139", options=_rtl8139),
    DeviceKind("tulip", {"": "tulip"}, backend=Backend.NETDEV),
    _net("vmxnet3", "vmxnet3", options=_serial(_VMXNET3)),
    *(_net(model, model) for model in _EEPRO100.split()),
)
