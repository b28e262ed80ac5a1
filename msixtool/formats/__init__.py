"""What the bytes are: construct schemas, one file a format, and the one seam to construct.

- A stream: qevm (items, and what is around a section's data), vmdesc (the text behind them), idstr; ram and
  iterable (the records of sections that QEMU writes by hand).
- A section's data: vmstate (types of fields), layout (fields at their offsets), described (as a vmdesc has
  them), dump_vmstate (as -dump-vmstate has them), lengths (which are as long as another one says).
- A PCI device: function (its state begins so: PCIDevice, AER log, MSI-X), pci and capabilities (configuration
  space), msix (table and pending bits); where in a section that is, devices/places.py answers.
- virtio: virtio (the blob behind PCIDevice and MSI-X), virtio_types (what each device type adds), vring (the
  rings in guest memory); opaque (other fields that no vmdesc describes), scsi.
- A PC: interrupts, x86. Files: libvirt, qcow2, lzop, frames. What there is very much of is parsed by records.

Nothing here reads files, decides anything or speaks to people. The seam is `parse`, `build`,
`sizeof` and `members`: they turn every construct exception into this project's own, so that no
ConstructError reaches a caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import construct

from msixtool.errors import FormatError, TruncatedError
from msixtool.kept import NamedTuple

Buffer = bytes | bytearray | memoryview


def parse(
    schema: Any,
    data: Buffer,
    *,
    what: str,
    offset: int | None = None,
    section: str | None = None,
    **parameters: Any,
) -> Any:
    """Parse `data` from its start with `schema`; bytes that follow the record are left alone.

    `what` names the record and `offset` (bytes, in the decoded stream) says where it starts; `parameters`
    are what the schema reads as `_params`.

    Raises TruncatedError where the data ends before the record, FormatError where a value
    contradicts the schema.
    """
    try:
        return schema.parse(bytes(data), **parameters)
    except construct.StreamError:
        raise TruncatedError(
            f"{what} is cut short",
            offset=offset,
            section=section,
            expected="more bytes",
            found=f"only {len(data)}",
        ) from None
    except construct.ConstructError as error:
        raise FormatError(
            f"{what} is damaged", offset=offset, section=section, found=_reason(error)
        ) from None
    except (OverflowError, MemoryError, UnicodeDecodeError) as error:
        raise FormatError(f"{what} is damaged", offset=offset, section=section, found=error) from None


def build(schema: Any, value: Any, *, what: str, **parameters: Any) -> bytes:
    """The bytes of `value` under `schema`. Raises FormatError where a value does not fit."""
    try:
        built: bytes = schema.build(value, **parameters)
    except (construct.ConstructError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{what} cannot be written", found=_reason(error)) from None
    return built


def sizeof(schema: Any, **context: Any) -> int:
    """The size of a fixed-size schema, in bytes."""
    size: int = schema.sizeof(**context)
    return size


class Member(NamedTuple):
    """Where a member of a Struct stands: offset and size in bytes."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.size


@lru_cache(maxsize=256)
def members(schema: Any, start: int = 0) -> Mapping[str, Member]:
    """Where each member of a Struct that begins at `start` stands, up to one of which the size varies."""
    found: dict[str, Member] = {}
    for member in schema.subcons:
        try:
            size: int = member.sizeof()
        except (construct.SizeofError, AttributeError, KeyError):
            break
        found[str(member.name)] = Member(start, size)
        start += size
    return found


def _reason(error: Exception) -> str:
    """construct's first line of explanation without its path ('Error in path …')."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Error in path")]
    return lines[0] if lines else type(error).__name__
