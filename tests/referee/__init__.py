"""QEMU's own hw/pci/msix.c as the referee of the model: the same random operations on both."""
