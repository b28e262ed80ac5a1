"""Streams in an object store that speaks S3: the programs of docs/many-files.md, with Dask and with Ray.

The store is moto's server, on which s3fs works as on any other; what it hands out is counted there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, unpacked
from tests.test_audit import MIB, large

moto_server = pytest.importorskip("moto.server", reason="the extra `cluster` is not installed")
s3fs = pytest.importorskip("s3fs", reason="the extra `cluster` is not installed")

STREAMS = 5
SIZE = 64 * MIB
SAMPLE = REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz"
PAGE = (REPOSITORY / "docs" / "many-files.md").read_text()
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Store:
    """A bucket of streams, and the bytes that were fetched of each of its objects."""

    url: str
    fetched: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a program where the store is, as for any store that is not Amazon's."""
        return {**os.environ, **KEYS, "AWS_ENDPOINT_URL": self.url}

    def counted(self, application: Any) -> Any:
        """The WSGI application, with what it hands out counted."""

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            path = environ["PATH_INFO"]

            def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                if environ["REQUEST_METHOD"] == "GET" and path.endswith(".mig"):
                    length = int(dict(headers)["Content-Length"])
                    self.fetched[path] = self.fetched.get(path, 0) + length
                return start(status, headers, *more)

            found: Iterable[bytes] = application(environ, begin)
            return found

        return answer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with STREAMS streams of SIZE bytes in the bucket `saves`."""
    from werkzeug.serving import make_server

    local = large(tmp_path_factory.mktemp("local"), unpacked(SAMPLE), SIZE)
    application = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
    made = Store("")
    server = make_server("127.0.0.1", 0, made.counted(application), threaded=True)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bucket = s3fs.S3FileSystem(key="test", secret="test", endpoint_url=made.url)
        bucket.mkdir("saves")
        for number in range(STREAMS):
            bucket.put(str(local), f"saves/vm{number}.mig")
        yield made
    finally:
        server.shutdown()
        thread.join()


def program(name: str) -> str:
    """The program of this name in docs/many-files.md."""
    found = re.search(rf"```python\n(# {name}\n.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/many-files.md has no {name}"
    return found[1]


def _run(script: Path, store: Store) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), "s3://saves"]
    return subprocess.run(command, env=store.environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", ["bucket.py", "bucket_ray.py"])
def test_of_each_stream_in_a_bucket_only_the_ends_are_fetched(
    name: str, store: Store, tmp_path: Path
) -> None:
    pytest.importorskip("ray" if "ray" in name else "dask", reason="the extra `cluster` is not installed")
    store.fetched.clear()
    script = tmp_path / name
    script.write_text(program(name))
    run = _run(script, store)
    if "timed out during startup" in run.stderr:  # Ray gives its own processes 30 s: once more.
        run = _run(script, store)
    assert run.returncode == 0, run.stderr
    rows = run.stdout.splitlines()
    assert rows == [f"s3://saves/vm{number}.mig pc-q35-7.2 27 vectors" for number in range(STREAMS)]
    assert len(store.fetched) == STREAMS
    assert max(store.fetched.values()) < 3 * MIB
