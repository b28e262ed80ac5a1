"""Guest memory out of a stream, by guest physical address."""
