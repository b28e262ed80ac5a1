"""The MSI-X device itself, with no stream in sight: its state, its behaviour, its events."""
