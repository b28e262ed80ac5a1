"""From a base file to a forged one: opened, planned, and written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from msixtool.containers.base import Progress, Source, bar_of
from msixtool.containers.file import ObjectSource, SliceSource, file_offset
from msixtool.containers.forward import ForwardSource
from msixtool.containers.libvirt import LibvirtSource
from msixtool.containers.open import SPOOL_LIMIT, open_source
from msixtool.containers.opened import Opened
from msixtool.containers.qcow2 import Qcow2Source
from msixtool.dump import OpenDump
from msixtool.errors import InputError, UsageError
from msixtool.output.files import PIECE, OutputFile, create
from msixtool.spec.values import Spec
from msixtool.stream.rewrite import PlainFile, Rewritten, Sink, bottom, rewrite
from msixtool.tasks.forge import Plan
from msixtool.tasks.forge_pack import TOOLS, Packer


@dataclass(slots=True)
class Base:
    """The stream that is forged from, and the file that it is in."""

    dump: OpenDump
    opened: Opened
    file: io.FileIO


@contextmanager
def open_base(
    path: str,
    *,
    offset: int = 0,
    snapshot: str | None = None,
    damaged: bool = False,
    progress: Progress | None = None,
) -> Iterator[Base]:
    """Open the base of a forgery; a pipe is put into a temporary file first.

    Raises InputError where there is no stream, and where it is damaged unless `damaged` allows it.
    """
    with _file(path) as file, ExitStack() as bar:
        begin = file.tell()  # standard input may have been read before
        seen = progress or bar.enter_context(bar_of(path))
        opened = open_source(cast("BinaryIO", file), offset=begin + offset, snapshot=snapshot, progress=seen)
        with OpenDump(opened) as dump:
            bar.close()
            if not damaged and dump.damage:
                first = dump.damage[0]
                raise InputError(
                    f"is damaged, and so would be what is forged of it (--damaged does it): {first.message}",
                    path=path,
                    offset=first.offset,
                )
            yield Base(dump, opened, file)


@contextmanager
def _file(path: str) -> Iterator[io.FileIO]:
    """The base as a file that can be read at any offset. Unbuffered: its descriptor is used directly."""
    if path == "-" and sys.stdin is None:
        raise InputError("standard input is closed", path=path)
    try:
        file = io.FileIO(os.dup(sys.stdin.fileno()) if path == "-" else path)
    except (OSError, ValueError) as error:
        raise InputError("cannot be opened", path=path, found=getattr(error, "strerror", error)) from None
    with file:
        if file.seekable():
            file.name = path
            yield file
            return
        with _spooled(file, path) as spooled:
            spooled.name = path
            yield spooled


def _spooled(pipe: io.FileIO, path: str) -> io.FileIO:
    """What comes through a pipe, in a temporary file without a name."""
    folder = os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
    size = 0
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="msixtool-") as temporary:
            while data := pipe.read(PIECE):
                temporary.write(data)
                size += len(data)
                if size > SPOOL_LIMIT:
                    raise InputError(
                        "too long for a pipe", path=path, expected=f"at most {SPOOL_LIMIT} bytes"
                    )
            temporary.seek(0)
            return io.FileIO(os.dup(temporary.fileno()), "rb+")
    except OSError as error:
        raise InputError(
            "cannot be kept on disk (TMPDIR says where)", path=path, found=error.strerror
        ) from None


@dataclass(frozen=True, slots=True)
class Forged:
    """A stream that was written: what is worth a word, and how it is loaded, line by line."""

    path: str
    notes: tuple[str, ...]
    loading: tuple[str, ...]


def inputs_of(base: str, spec: Spec) -> list[str]:
    """The files that the output must not be."""
    return [base, *([spec.path] if spec.path else [])]


def write_forged(
    base: Base,
    planned: Plan,
    output: str,
    *,
    force: bool = False,
    like_base: bool = False,
    inputs: Sequence[str] = (),
    progress: Progress | None = None,
) -> Forged:
    """Write what was planned to `output`, which appears whole or not at all and is none of `inputs`.

    It is the bare stream, but a mapped-ram stream keeps its place in its file; with `like_base` it is
    packed as the base was, a qcow2 image left aside. `force` writes over a file; `progress` hears of
    the bytes of the stream that are done.

    Raises InputError where the base cannot be read, OutputError where the output must not be written, or
    cannot.
    """
    with create(output, force=force, inputs=[*inputs, base.file.fileno()]) as out:
        try:
            kinds = _write(base, planned, out, like_base, progress)
        except InputError as error:
            raise error.at(path=base.dump.path) from None
        base.dump.check_unchanged()
    notes = list(planned.notes)
    if like_base and _image_layers(base):
        notes.append("a qcow2 image is not rewritten: this is the stream of its snapshot")
    return Forged(output, tuple(notes), tuple(loading(base, output, kinds)))


def forged_dump(base: Base, planned: Plan) -> OpenDump:
    """The forged stream, read through the base without being written. The base stays open for it."""
    return OpenDump(base.opened.read_through(Rewritten(base.dump.source, planned.replacements)))


def _write(
    base: Base, planned: Plan, out: OutputFile, like_base: bool, progress: Progress | None
) -> list[str]:
    """Write the forged stream; the kinds of the layers around it, from the outside in."""
    source, shift = base.dump.source, 0
    if base.dump.index.mapped_ram:
        # Its offsets count from the start of the file: whatever stands before it stays.
        source, shift = bottom(source), file_offset(source, 0)
    elif base.dump.index.terminated and stat.S_ISBLK(os.fstat(base.file.fileno()).st_mode):
        source = SliceSource(source, 0, base.dump.index.end)  # the rest of a disk is none of it
    sink, packers, kinds = _wrap(base, out) if like_base else (out, [], [])
    plain = None
    if isinstance(bottom(source), ObjectSource):
        plain = PlainFile(base.file.fileno(), file_offset(source, 0))
    changes = [change.shifted(shift) for change in planned.replacements]
    rewrite(source, changes, sink, plain=plain, progress=progress)
    for packer in reversed(packers):
        packer.finish()
    damage = base.opened.verify()
    if damage is not None:
        raise damage
    return kinds


def _image_layers(base: Base) -> int:
    """How many layers a qcow2 image and what is around it are; 0 for none."""
    sources = base.opened.sources
    return max(
        (number for number, source in enumerate(sources) if isinstance(source, Qcow2Source)), default=0
    )


def _wrap(base: Base, out: OutputFile) -> tuple[Sink, list[Packer], list[str]]:
    """Write what stands before the stream in its containers, and pack what follows as they are packed."""
    sink: Sink = out
    packers: list[Packer] = []
    kinds: list[str] = []
    check_packed(source.kind for source in base.opened.sources)
    inner = base.opened.sources[_image_layers(base) + 1 :]
    packed = [number for number, source in enumerate(inner) if isinstance(source, ForwardSource)]
    # A mapped-ram stream comes with all that stands before it in the file that holds it.
    whole = max(packed, default=-1) if base.dump.index.mapped_ram else len(inner)
    for number, source in enumerate(inner):
        kinds.append(source.kind)
        if isinstance(source, ForwardSource):
            packers.append(Packer(source.kind, sink))
            sink = packers[-1]
        elif isinstance(source, LibvirtSource) and number < whole:
            _copy(source.base, source.start, sink)
    return sink, packers, kinds


def check_packed(kinds: Iterable[str]) -> None:
    """Raises UsageError for a layer that nothing is packed in."""
    for kind in kinds:
        if kind not in (*TOOLS, "libvirt", "qcow2", ""):
            raise UsageError(
                f"--like-base: nothing is packed as {kind}", expected=f"one of {', '.join(TOOLS)}"
            )


def _copy(source: Source, length: int, sink: Sink) -> None:
    """Write the first bytes of a source."""
    for start in range(0, length, PIECE):
        sink.write(source.read(start, min(PIECE, length - start)))


def loading(base: Base, path: str, kinds: list[str]) -> Iterator[str]:
    """How QEMU is told to load the file at `path`, whose layers are `kinds` from the outside in."""
    # A name that begins like an option is one to cat, xz and virsh; behind a folder it is none.
    name = "FILE" if path == "-" else f"./{path}" if path.startswith("-") else path
    if "libvirt" in kinds:
        yield f"virsh restore {shlex.quote(name)}"
        return
    index = base.dump.index
    uri = f"exec:{_unpacking(kinds, shlex.quote(name))}"
    if index.mapped_ram:
        origin = file_offset(base.dump.source, 0)
        uri = f"file:{name}" + (f",offset={origin:#x}" if origin else "")
    if not index.capabilities:
        yield f"-incoming {shlex.quote(uri)}"
        return
    yield "-incoming defer"
    capabilities = [{"capability": each, "state": True} for each in index.capabilities]
    for command, arguments in (
        ("migrate-set-capabilities", {"capabilities": capabilities}),
        ("migrate-incoming", {"uri": uri}),
    ):
        yield json.dumps({"execute": command, "arguments": arguments})


def _unpacking(kinds: list[str], name: str) -> str:
    """The shell command that gives the bare stream."""
    if not kinds:
        return f"cat {name}"
    first, *rest = (TOOLS[kind] for kind in kinds)
    return " | ".join([f"{first} {name}", *rest])
