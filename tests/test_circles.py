"""No circle: of two modules one stands on the other, be it for a type alone."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest

grimp = pytest.importorskip("grimp", reason="grimp, of the dev extra, is not installed")


def test_no_module_stands_on_one_that_stands_on_it() -> None:
    graph = grimp.build_graph("msixtool", exclude_type_checking_imports=False, cache_dir=None)
    below = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(below) > 300, "the package is not where this test looks for it"
    assert below["msixtool.cli.output"], "imports are found"
    TopologicalSorter(below).prepare()  # a CycleError names those in the circle
