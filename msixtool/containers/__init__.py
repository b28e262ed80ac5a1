"""From a file to the bytes of a stream: each layer is a reader over a reader."""
