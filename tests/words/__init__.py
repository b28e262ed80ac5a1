"""What QEMU can say, taken out of its sources, and how much of it explain knows."""
