"""What an installed QEMU says of itself, recorded for the package."""
