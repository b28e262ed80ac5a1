"""Streams on a web server, through fsspec: what is requested of the server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import msixtool
from tests.conftest import unpacked
from tests.test_audit import MIB, large

fsspec = pytest.importorskip("fsspec")


@dataclass
class Site:
    """A folder on a web server that answers range requests, and what was asked of it."""

    url: str
    requests: list[tuple[int, int]] = field(default_factory=list)
    """Offset and length of each."""


class _Ranges(BaseHTTPRequestHandler):
    """Serves ranges of files."""

    protocol_version = "HTTP/1.1"
    folder: Path
    site: Site

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def _serve(self, *, with_body: bool) -> None:
        path = self.folder / self.path.lstrip("/")
        size = path.stat().st_size
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), min(int(asked[2]) + 1, size)) if asked else (0, size)
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if with_body:
            self.site.requests.append((start, end - start))
            with path.open("rb") as file:
                file.seek(start)
                self.wfile.write(file.read(end - start))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Put a folder on the web."""
    handler: Any = type("Handler", (_Ranges,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site = handler.site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("size", [512 * MIB, 2048 * MIB])
def test_of_a_stream_on_a_web_server_only_the_ends_are_requested(
    size: int, raw_sample: Path, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "web").mkdir()
    path = large(tmp_path / "web", raw_sample.read_bytes(), size)
    expected = msixtool.inspect(path)
    with served(path.parent) as site:
        url = f"{site.url}/{path.name}"
        store, name = fsspec.core.url_to_fs(url)
        with store.open(name, cache_type="none") as file:
            document = msixtool.inspect(file)
    assert document["source"] == {"path": url, "size": path.stat().st_size, "layers": []}
    assert document | {"source": None} == expected | {"source": None}
    assert len(site.requests) <= 8
    assert sum(length for _, length in site.requests) < 3 * MIB


def test_a_store_of_objects_is_audited(sample: Path) -> None:
    """fsspec's file system in memory stands for any other."""
    store = fsspec.filesystem("memory")
    streams = {"/fleet/a.mig": unpacked(sample), "/fleet/b.mig.xz": sample.read_bytes()}
    for name, data in streams.items():
        store.pipe(name, data)
    documents = []
    for file in fsspec.open_files("memory://fleet/*"):
        with file as opened:
            documents.append(msixtool.validate(opened))
    assert [document["source"]["path"] for document in documents] == list(streams)
    assert [document["source"]["layers"] for document in documents] == [[], [{"kind": "xz"}]]
    assert all(document["ok"] for document in documents)
