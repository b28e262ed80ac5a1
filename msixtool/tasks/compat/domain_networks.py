"""The network cards of a domain's XML, made here.

`virsh domxml-to-native` keeps of a card its model and MAC alone: it gets another place, its queues and ROM
are gone, and libvirt adds a port for it. Source: libvirt src/qemu/qemu_driver.c
(qemuConnectDomainXMLToNative).
"""

from __future__ import annotations

import json
from xml.etree import ElementTree

_QUEUE_SIZES = ("rx_queue_size", "tx_queue_size")
_SWITCHES = {"packed": "packed", "iommu": "iommu_platform", "ats": "ats", "page_per_vq": "page-per-vq"}
_MOST_QUEUES = 256


def without_networks(xml: str) -> tuple[str, list[ElementTree.Element], ElementTree.Element]:
    """The XML without its cards, those, and its root.

    Raises ValueError for what is no XML, or has a document type: entities of its own may grow at will.
    """
    if "<!DOCTYPE" in xml:
        raise ValueError("a document type (<!DOCTYPE>), which no domain has")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    cards = []
    for devices in root.findall("devices"):
        for card in devices.findall("interface"):
            devices.remove(card)
            cards.append(card)
    return (ElementTree.tostring(root, encoding="unicode"), cards, root) if cards else (xml, [], root)


def network_words(
    cards: list[ElementTree.Element], root: ElementTree.Element, *, taps: bool
) -> tuple[list[str], list[str]]:
    """-netdev and -device of each card, and what was replaced, a line each. With `taps` a card that is not of
    type user gets a tap of its own, which needs privileges; otherwise a user network."""
    words: list[str] = []
    said: list[str] = []
    for number, card in enumerate(cards):
        kind = card.get("type", "user")
        if kind in ("hostdev", "vdpa"):
            said.append(f"-device network {number}: {kind}, taken out")
            continue
        queues = _queues(card)
        backend = f"user,id=hostnet{number}"
        if kind != "user" and taps:
            backend = f"tap,id=hostnet{number},script=no,downscript=no"
            backend += f",queues={queues}" if queues > 1 else ""
        if kind != "user":
            said.append(f"-netdev hostnet{number}: {kind}, replaced by {backend.partition(',')[0]}")
        words += ["-netdev", backend, "-device", json.dumps(_device(card, number, queues, root))]
    return words, said


def _queues(card: ElementTree.Element) -> int:
    text = card.find("driver")
    found = "" if text is None else text.get("queues", "")
    return min(int(found), _MOST_QUEUES) if found.isdecimal() and len(found) < 4 and int(found) else 1


def _device(
    card: ElementTree.Element, number: int, queues: int, root: ElementTree.Element
) -> dict[str, str | int | bool]:
    model, driver, rom = card.find("model"), card.find("driver"), card.find("rom")
    name = "virtio" if model is None else model.get("type", "virtio")
    if name.startswith("virtio"):
        name = f"virtio-net-pci{name.removeprefix('virtio')}"
    made: dict[str, str | int | bool] = {"driver": name, "netdev": f"hostnet{number}"}
    alias = card.find("alias")
    own = "" if alias is None else alias.get("name", "")
    made["id"] = own or f"net{number}"
    mac = card.find("mac")
    if mac is not None:
        made["mac"] = mac.get("address", "")
    if queues > 1:
        made |= {"mq": True, "vectors": 2 * queues + 2}
    for key in _QUEUE_SIZES:
        if driver is not None and driver.get(key, "").isdecimal():
            made[key] = int(driver.get(key, "0")[:6])
    for key, prop in _SWITCHES.items():
        if driver is not None and key in driver.attrib:
            made[prop] = driver.get(key) == "on"
    if rom is not None and rom.get("enabled") == "no":
        made["romfile"] = ""
    return made | _place(card, root) | _overridden(own, root)


def _place(card: ElementTree.Element, root: ElementTree.Element) -> dict[str, str | int | bool]:
    address = card.find("address")
    if address is None or address.get("type") != "pci":
        return {}
    slot, function = (address.get(key, "0x0") for key in ("slot", "function"))
    made: dict[str, str | int | bool] = {
        "bus": _bus(address.get("bus", "0x0"), root),
        "addr": f"{slot}.{function}",
    }
    if address.get("multifunction") == "on":
        made["multifunction"] = True
    return made


def _bus(text: str, root: ElementTree.Element) -> str:
    """A bus by its number, as libvirt calls it."""
    number = int(text, 0)
    for each in root.iterfind("devices/controller[@type='pci']"):
        alias = each.find("alias")
        if each.get("index") == str(number) and alias is not None and number:
            return alias.get("name", "")
    kind = root.find("os/type")
    machine = "" if kind is None else kind.get("machine", "")
    return f"pci.{number}" if number or "i440fx" in machine or machine == "pc" else "pcie.0"


def _overridden(own: str, root: ElementTree.Element) -> dict[str, str | int | bool]:
    made: dict[str, str | int | bool] = {}
    space = "{http://libvirt.org/schemas/domain/qemu/1.0}"
    for device in root.iterfind(f"{space}override/{space}device"):
        if own and device.get("alias") == own:
            for prop in device.iterfind(f"{space}frontend/{space}property"):
                value, name = prop.get("value", ""), prop.get("name", "")
                kind = prop.get("type")
                made[name] = (
                    value == "true"
                    if kind == "bool"
                    else int(value)
                    if kind in ("signed", "unsigned")
                    else value
                )
    return made
