"""Where a VM is found: at a socket, or with libvirt.

Source: QEMU docs/interop/qmp-spec; libvirt tools/virsh-domain.c.
"""

from __future__ import annotations

import socket
from contextlib import AbstractAsyncContextManager

from msixtool.tasks.capture.monitor import Monitor, at_socket
from msixtool.tasks.capture.virsh import Domain, through_virsh

Address = str | socket.socket | Domain
"""The path of a UNIX socket, a connected one, or a domain of libvirt."""


def connected(address: Address) -> AbstractAsyncContextManager[Monitor]:
    """The monitor of a VM. Entering raises InputError where none answers."""
    return through_virsh(address) if isinstance(address, Domain) else at_socket(address)


def vm_name(address: Address) -> str:
    """What a VM is called."""
    return "the QMP socket" if isinstance(address, socket.socket) else str(address)
