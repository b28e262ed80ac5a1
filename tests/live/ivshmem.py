"""The other side of an ivshmem-doorbell: a server with one client, which rings the client's vectors.

Source: QEMU docs/specs/ivshmem-spec, "Interrupt client-server protocol": 64-bit little-endian
messages, some with a file descriptor: protocol version, the client's id, the shared memory, then an
eventfd for each vector of each peer.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import Self

from .devices import DeviceKind
from .wire import listen

VERSION, CLIENT, SHARED_MEMORY = 0, 0, -1
SIZE = 1 << 16
"""Bytes of shared memory."""


class IvshmemServer:
    """Serves the QEMUs that are started while it is open; of those alive, one answers a bell."""

    def __init__(self, vectors: int) -> None:
        self.vectors = vectors
        self._directory = tempfile.TemporaryDirectory(prefix="msixtool-")
        self._socket = listen(Path(self._directory.name) / "ivshmem")
        self._memory = os.memfd_create("ivshmem")
        os.ftruncate(self._memory, SIZE)
        self._bells = [os.eventfd(0) for _ in range(vectors)]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def kind(self) -> DeviceKind:
        """The device that is this server's client; master=on makes it migratable."""
        chardev = ("-chardev", f"socket,id=server-{{id}},path={self._socket.getsockname()}")
        options = f"master=on,chardev=server-{{id}},vectors={self.vectors}"
        return DeviceKind("ivshmem-doorbell", "ivshmem-doorbell", options=options, needs=chardev)

    def ring(self, vector: int) -> None:
        """Interrupt the client by this vector: its QEMU calls msix_notify when its main loop comes to it."""
        os.eventfd_write(self._bells[vector], 1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in self._connections:
            connection.close()
        self._socket.close()
        for descriptor in (self._memory, *self._bells):
            os.close(descriptor)
        self._directory.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            _send(connection, VERSION)
            _send(connection, CLIENT)
            _send(connection, SHARED_MEMORY, self._memory)
            for bell in self._bells:
                _send(connection, CLIENT, bell)


def _send(connection: socket.socket, number: int, descriptor: int | None = None) -> None:
    socket.send_fds(connection, [struct.pack("<q", number)], [] if descriptor is None else [descriptor])
