"""What distributions ship: their QEMU releases by name, and machine types that only their own QEMU has.

Source: the packages qemu and qemu-kvm of Debian, Ubuntu, Red Hat Enterprise Linux and Proxmox VE; Ubuntu's
debian/patches (pc-*-CODENAME, -hpb, -maxcpus, -v2), Red Hat's machine types (pc-*-rhelX.Y.0).
"""

from __future__ import annotations

import re

from msixtool.errors import UsageError, meant
from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Version, format_version, parse_version

UBUNTU, RED_HAT = "Ubuntu", "Red Hat"

LAST_MINOR = {1: 7, 2: 12, 3: 1, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 9: 2, 10: 2, 11: 1}
"""The last minor number of each major release of QEMU, the newest as far as it is known."""

SHIPPED: dict[str, Version] = {
    "debian-10": (3, 1),
    "debian-11": (5, 2),
    "debian-12": (7, 2),
    "debian-13": (10, 0),
    "ubuntu-18.04": (2, 11),
    "ubuntu-20.04": (4, 2),
    "ubuntu-22.04": (6, 2),
    "ubuntu-24.04": (8, 2),
    "rhel-9.0": (6, 2),
    "rhel-9.1": (7, 0),
    "rhel-9.2": (7, 2),
    "rhel-9.3": (8, 0),
    "rhel-9.4": (8, 2),
    "rhel-9.5": (9, 0),
    "proxmox-8": (9, 2),
    "proxmox-9": (10, 0),
}
"""The QEMU release in a distribution, by NAME-RELEASE; of Proxmox VE that in its last point release."""

_VENDORS = {"ubuntu": UBUNTU, "rhel": RED_HAT}
_CODENAMES = (
    "trusty|utopic|vivid|wily|xenial|yakkety|zesty|artful|bionic|cosmic|disco|eoan|focal|groovy|hirsute|impish"
    "|jammy|kinetic|lunar|mantic|noble|oracular|plucky|questing"
)
_UBUNTU = re.compile(rf"(?:-(?:{_CODENAMES})(?:-hpb|-maxcpus|-v2)*|^ubuntu(?:-q35)?)$")
_RED_HAT = re.compile(r"-rhel\d{1,2}\.\d{1,2}\.\d{1,2}$")


class Build(NamedTuple):
    """Where a stream is to go: a release of QEMU, and whose build of it; `vendor` is None for upstream's."""

    release: Version
    vendor: str | None = None
    name: str | None = None

    def document(self) -> dict[str, str | None]:
        """As `target` of the contract's compat document."""
        named = {} if self.name is None else {"name": self.name}
        return {"qemu": format_version(self.release), **named}


def build_of(text: str) -> Build:
    """`11.1`, or a distribution such as `debian-12`. Raises UsageError for what is not known."""
    word = text.strip().lower()
    if word in SHIPPED:
        return Build(SHIPPED[word], _VENDORS.get(word.partition("-")[0]), word)
    if not word[:1].isdigit():
        known = f"one of {', '.join(SHIPPED)}"
        raise UsageError(f"distribution {text!r}{meant(word, SHIPPED)}", expected=known)
    release = parse_version(text)
    if not 0 <= release[1] <= LAST_MINOR.get(release[0], -1):
        newest = max(LAST_MINOR.items())
        raise UsageError(
            "QEMU release", expected=f"one that is known, up to {format_version(newest)}", found=repr(text)
        )
    return Build(release)


def vendor_of(machine: str) -> str | None:
    """Whose QEMU alone has a machine type; None for upstream's, which every build has."""
    if _UBUNTU.search(machine):
        return UBUNTU
    return RED_HAT if _RED_HAT.search(machine) else None
