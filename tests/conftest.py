"""What all tests share: the samples, and the corpus of real streams where it is at hand."""

from __future__ import annotations

import lzma
import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("msixtool", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("msixtool")

# Tests send these signals to processes that they start, which would ignore what the run itself was told
# to ignore: by nohup, or by a shell that began it in the background.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = sorted((REPOSITORY / "samples").glob("*.mig.xz"))
CORPUS = REPOSITORY.parent / "shared" / "corpus"
CORPUS_STREAMS = sorted(
    path
    for folder in ("states", "variants", "compat")
    for path in (CORPUS / folder).glob("*/source*.xz")
    if ".qcow2" not in path.name
)
"""Empty where the corpus is not at hand; the samples are always there."""

STREAMS = SAMPLES + CORPUS_STREAMS


def stream_id(path: Path) -> str:
    """A short name for a stream in test ids."""
    return (
        path.name.removesuffix(".mig.xz")
        if path in SAMPLES
        else f"{path.parent.parent.name}/{path.parent.name}"
    )


@cache
def unpacked(path: Path) -> bytes:
    """The bytes of an xz-compressed stream."""
    return lzma.decompress(path.read_bytes())


@pytest.fixture(params=STREAMS, ids=stream_id)
def stream_path(request: pytest.FixtureRequest) -> Path:
    """Each real stream at hand: the samples, and the corpus where it is there."""
    path: Path = request.param
    return path


@pytest.fixture
def sample() -> Path:
    """The README's first sample: virtio-net, virtio-blk, e1000e and xhci on q35, QEMU 7.2."""
    return REPOSITORY / "samples" / "q35-virtio-e1000e-7.2.mig.xz"


@pytest.fixture
def raw_sample(sample: Path, tmp_path: Path) -> Path:
    """The same sample, uncompressed."""
    path = tmp_path / "sample.mig"
    path.write_bytes(unpacked(sample))
    return path
