"""What is known of QEMU, as data: device profiles, versions, machine types, wordings."""
