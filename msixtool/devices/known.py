"""What is known of the kind of a section. All kinds are loaded when the first is asked for.

That takes a quarter of the time in which a small stream is inspected, which asks for none: its vmdesc says
where everything is. The declarations are in qemu/kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msixtool.qemu.kinds import DeviceKind
    from msixtool.stream.items import Item


def known_kind(item: Item) -> DeviceKind:
    """The kind of a section; of a stranger one of which nothing is known."""
    return _kind_of()(item.idstr)


@lru_cache(maxsize=1)
def _kind_of() -> Callable[[str | None], DeviceKind]:
    from msixtool.qemu.kinds import kind_of

    return kind_of
