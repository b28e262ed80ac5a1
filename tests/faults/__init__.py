"""Writing that fails or is killed, and files that change while they are read."""
