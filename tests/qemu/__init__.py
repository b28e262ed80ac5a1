"""Facts of QEMU, without a stream."""
