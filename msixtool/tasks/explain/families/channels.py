"""Connections: TLS, sockets, multifd channels, and what one side says when the other has gone.

Source: QEMU io/channel-*.c, crypto/tls*.c, migration/channel.c, tls.c, socket.c, multifd*.c, rdma.c,
qemu-file.c, migration.c;
libvirt src/qemu/qemu_migration.c, qemu_monitor.c.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import CONSEQUENCE, ECHO, family
from msixtool.tasks.finding import Code

CHANNELS = (
    family(
        "tls",
        "The TLS channel between source and target failed: the handshake, a certificate or the"
        " credentials. What comes after it (not a migration stream, end of file) only follows from that.",
        "Check certificates and keys on both hosts (libvirt: /etc/pki/qemu or /etc/pki/libvirt-migrate):"
        " signed by the same CA, not expired, with the host name or address that the source connects to"
        " (tls-hostname) in them, readable by QEMU; and tls-creds set on both sides or on neither.",
        "*TLS channel*", "TLS handshake failed*", "*TLS handshake*", "*certificate*", "Certificate*",
        "*tls-creds*", "No TLS credentials*", "is not TLS credentials", "Expected TLS credentials*",
        "No hostname available for TLS", "*TLS session*", "*TLS credentials*", "Unable to load TLS*",
        "The TLS connection was non-properly terminated*", "*TLS*failed*", "Unable to*TLS*", "*gnutls*",
        "*TLS peer*", "TLS*not supported*", "*DH params*", "Unable to access credentials *",
        field="tls",
    ),
    family(
        "rdma",
        "The RDMA connection failed: the devices, the registration of memory (rkeys) or the connection"
        " itself.",
        "Check the RDMA link on both hosts (rping), pinning (rdma-pin-all with enough locked memory:"
        " ulimit -l), and that both sides run the same QEMU version; or migrate over tcp:.",
        "*rdma*", "RDMA*", "*rkey*", "*ibv_*", "*completion channel*", "*completion queue*", "*cm event*",
        "*infiniband*", "*Infiniband*", "*query port information*", "Failed to send control buffer*",
        field="rdma",
    ),
    family(
        "multifd",
        "The multifd channels do not agree: one side uses multifd, its number of channels, compression,"
        " page size or packet layout otherwise than the other, or a channel was lost.",
        "Set multifd, multifd-channels and multifd-compression alike on both sides before the migration"
        " starts; the other side's log says what ended a channel.",
        "multifd*", "Multifd*", "non-peekable channel*", "*channel*already quit*",
        "*multi-channel*", "Zero copy send*", "zero-copy*", "Zero copy only*", "zerocopy*",
        "failed to receive packet*", "*zero_copy*",
        field="multifd", code=Code.CAPABILITY,
    ),
    family(
        "port-taken",
        "Where the target's QEMU was to listen another program listens already: an earlier QEMU or migration"
        " that has not ended, or another service.",
        "See what holds the port or socket on that host (ss -ltnp) and end it, or migrate to another port"
        " (virsh migrate --migrateuri tcp://HOST:PORT; migration_port_min in qemu.conf).",
        "Failed to find an available port*", "Address already in use",
        "Failed to bind*: Address already in use",
        field="port",
    ),
    family(
        "connect",
        "The connection to the target could not be made: nothing listens there, or the way there (address,"
        " name, firewall) is shut. The target's QEMU may have ended before: its own log says why.",
        "Check on the target that QEMU runs and listens, that the host name resolves to an address the"
        " source reaches, and that the firewall lets the migration ports through (libvirt: 49152 to"
        " 49215); then look into the target's log.",
        "Failed to connect*", "failed to connect*", "*Connection refused", "No route to host",
        "Network is unreachable", "address resolution failed*", "*Connection timed out", "Unable to connect*",
        "unable to connect*", "Failed to bind*", "Failed to listen*", "*Name or service not known*",
        "Failed to set KeepAlive",
        "Failed to accept*", "cannot resolve*", "Failed to open file*socket*",
        "Unable to find migration port*", "unable to find*port in range*", "unix socket*", "ssh: connect*",
        "can't connect to destination*", "tunnel*failed*", "*No such host*",
    ),
    family(
        "other-side",
        "The connection was ended by the other side. This side only notices it: as a rule the target's"
        " QEMU refused the stream or died, and the reason stands in the target's log.",
        "Read QEMU's log on the target host for the same time (libvirt: /var/log/libvirt/qemu/NAME.log;"
        " Proxmox: journalctl and the task log there), and give it along: msixtool explain SOURCE.log"
        " TARGET.log. Where nothing is there, see dmesg for a killed or crashed QEMU, and the network"
        " between the hosts.",
        "*Broken pipe", "*Connection reset by peer", "Unable to write to socket*",
        "Unable to write to*channel*", "Unable to read from socket*", "*Unable to write to channel*",
        "Channel error*", "Unexpected end-of-file*", "Partial write of size*", "Partial read of size*",
        "*end of file while reading*", "End of file while reading data*", "closed connection*",
        "client socket is closed*", "connection closed*", "Cannot write to TLS*",
        "*Software caused connection abort*", "*Transport endpoint is not connected*",
        "*writev*: Broken pipe*", "Unable to read from monitor*", "Lost connection to destination host*",
        "lost connection to*host*", "Failed to*channel*", "*channel shutdown*", "*Unable to*socket*",
        "Migration stream errored*", "*stream errored*", "*received fd*never claimed*",
        "*does not support fd passing", "migrate: madvise*",
        code=Code.STREAM, rank=CONSEQUENCE,
    ),
    family(
        "sibling",
        "The target told the source that it failed, and no more: why stands in the target's log.",
        "Read QEMU's log on the target host for the same time (libvirt: /var/log/libvirt/qemu/NAME.log), and"
        " give it along: msixtool explain SOURCE.log TARGET.log.",
        "Sibling indicated error*", "Sibling*",
        rank=ECHO,
    ),
    family(
        "closed-monitor",
        "QEMU ended on the host where it was asked, in the middle of the migration, and libvirt lost its"
        " monitor. Why it ended stands in QEMU's own log; where nothing is there, it crashed or was killed.",
        "Read /var/log/libvirt/qemu/NAME.log on the target host (and on the source, if it was the source's"
        " QEMU that ended), then dmesg and coredumpctl for a crash or the out-of-memory killer.",
        "*unexpectedly closed the monitor*", "*unexpectedly closed monitor*", "qemu unexpectedly closed*",
        "*monitor socket*", "Monitor*closed*", "*connect to monitor*", "failed to connect to monitor*",
        "*QEMU process*exited*", "process exited while connecting to monitor*",
        "domain is no longer running*", "*domain is not running*", "guest unexpectedly quit*", "QEMU*exited*",
        "*VM * not running*", "*not running - *aborting*",
        rank=CONSEQUENCE,
    ),
)  # fmt: skip
"""The cause before the consequence."""
