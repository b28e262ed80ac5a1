"""pytest fixtures for tests of programs that read or write MSI-X state.

`msix_state` makes a state from nothing, `msix_forge` a stream like another. Installed with
msixtool, pytest finds them by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from msixtool.msix.state import MsixState

    MakeState = Callable[..., MsixState]
    Forge = Callable[[Path | str, Mapping[str, Any]], Path]


@pytest.fixture
def msix_state() -> MakeState:
    """`msix_state(5, unmasked=[0], pending=[3])`: an MsixState; `.to_vmstate()` gives its bytes.

    The arguments are those of `msixtool.make_state`.
    """
    from msixtool import make_state

    return make_state


@pytest.fixture
def msix_forge(tmp_path: Path) -> Forge:
    """`msix_forge(base, {"devices": […]})`: the path of a stream like `base` but for what SPEC asks.

    The files are in the test's own directory and go with it.
    """
    from msixtool import forge, make_spec

    made: list[Path] = []

    def call(base: Path | str, spec: Mapping[str, Any]) -> Path:
        made.append(tmp_path / f"forged-{len(made)}.mig")
        forge(str(base), make_spec(dict(spec)), str(made[-1]))
        return made[-1]

    return call
