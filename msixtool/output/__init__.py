"""Files that are written whole or not at all, and what a process that was killed leaves of them."""
