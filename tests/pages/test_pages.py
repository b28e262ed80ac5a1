"""`--html`: what stands on a page, that it stands alone, and that no name in a stream is obeyed."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from msixtool import pages
from msixtool.cli import run
from msixtool.pages import views
from tests.conftest import REPOSITORY

SAMPLES = REPOSITORY / "samples"
MANY_VECTORS = SAMPLES / "pc-2048-vectors-11.1.mig.xz"
THREE, FOUR = (SAMPLES / f"q35-net-{count}-vectors-7.2.mig.xz" for count in (3, 4))
HUNG, LATER = (SAMPLES / "hung" / f"{name}-7.2.mig.xz" for name in ("hung", "later"))
HOSTILE = '<script>alert("x")</script>\x1b]8;;http://x\x07\u202e'


class Page(HTMLParser):
    """The elements of a page, its text, and the labels of its cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def cells(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "li" and "tabindex" in attributes]


def page_of(tmp_path: Path, *words: str | Path) -> Page:
    """Run a command with --html; its page."""
    out = tmp_path / "page.html"
    assert run([*map(str, words), "--html", str(out)]) in (0, 1)
    return Page(out.read_text())


def commands() -> list[list[str | Path]]:
    return [
        ["inspect", MANY_VECTORS],
        ["inspect", SAMPLES],
        ["diff", THREE, FOUR],
        ["diff", "--fields", THREE, FOUR],
        ["compat", THREE, FOUR],
        ["compat", SAMPLES, FOUR],
        ["trace", HUNG, "--later", LATER],
    ]


@pytest.mark.parametrize(
    "words", commands(), ids=lambda words: " ".join(str(word) for word in words[:2])[-40:]
)
def test_a_page_asks_nothing_of_a_network_and_needs_no_script(
    tmp_path: Path, words: list[str | Path]
) -> None:
    page = page_of(tmp_path, *words)
    assert {"script", "link", "img", "iframe", "object", "form"}.isdisjoint(tag for tag, _ in page.tags)
    assert not [attrs for _, attrs in page.tags if attrs.keys() & {"src", "href", "onclick", "action"}]
    assert dict(page.tags)["html"] == {"lang": "en"}


def test_each_of_2048_vectors_is_a_cell_that_says_what_it_is(tmp_path: Path) -> None:
    page = page_of(tmp_path, "inspect", MANY_VECTORS)
    labels = [cell["aria-label"] or "" for cell in page.cells]
    assert len([label for label in labels if label.startswith("vector 2047:")]) == 1
    assert len(labels) >= 2048
    assert next(label for label in labels if "pending" in label).startswith("vector 2: masked, pending, used")
    assert {cell["class"] for cell in page.cells} == {"live", "masked", "masked pending"}


def test_the_page_of_compat_has_reason_and_advice(tmp_path: Path) -> None:
    text = page_of(tmp_path, "compat", THREE, FOUR).text
    assert "The load fails" in text
    assert "MSI-X table size: 3 vectors, the target has 4" in text
    assert "vectors=" in text


def test_the_page_of_compat_names_a_release(tmp_path: Path) -> None:
    assert "11.1" in page_of(tmp_path, "compat", THREE, "--to", "11.1").text


def test_the_page_of_a_folder_counts_who_loads_by_cause(tmp_path: Path) -> None:
    text = page_of(tmp_path, "compat", SAMPLES, FOUR).text
    assert f"1 of {len(list(SAMPLES.rglob('*.mig.xz')))} streams would load" in text
    assert "config-mismatch of virtio-net: MSI-X table size" in text


def test_where_a_page_is_narrow_each_number_of_a_stream_has_its_column_beside_it(tmp_path: Path) -> None:
    page = page_of(tmp_path, "inspect", SAMPLES)
    labels = [attributes["data-label"] for tag, attributes in page.tags if "data-label" in attributes]
    columns = ["Devices", "Vectors", "Pending", "Damage"]
    assert labels == columns * len(list(SAMPLES.rglob("*.mig.xz")))
    assert all(column in page.text for column in columns)


def test_the_page_of_trace_marks_the_cpu_of_an_interrupt_that_may_be_lost(tmp_path: Path) -> None:
    page = page_of(tmp_path, "trace", HUNG)
    assert [tag for tag, attributes in page.tags if attributes.get("class") == "suspect"] == ["li"]


def test_the_page_of_trace_draws_the_way_of_a_lost_interrupt_up_to_where_it_broke(tmp_path: Path) -> None:
    page = page_of(tmp_path, "trace", HUNG, "--later", LATER)
    assert "1 interrupt lost" in page.text
    (lost,) = (cell for cell in page.cells if "lost" in (cell["class"] or ""))
    assert (lost["aria-label"] or "").endswith("lost")
    broken = [
        attributes for tag, attributes in page.tags if tag == "li" and attributes.get("class") == "broken"
    ]
    assert len(broken) == 1


def test_a_page_does_not_write_over_a_file_or_an_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.html"
    there.write_text("mine")
    assert run(["inspect", str(FOUR), "--html", str(there)]) == 2
    assert there.read_text() == "mine"
    stream = tmp_path / "stream.xz"
    shutil.copy(FOUR, stream)
    assert run(["inspect", str(stream), "--html", str(stream), "--force"]) == 2
    assert stream.read_bytes() == FOUR.read_bytes()
    assert run(["inspect", str(FOUR), "--html", str(there), "--force"]) == 0
    assert "</html>" in there.read_text()
    assert "the output is an input" in capsys.readouterr().err


def test_json_stays_alone_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(FOUR), "--json", "--html", str(tmp_path / "p.html")]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "msixtool.inspect/1"


def test_names_from_a_stream_are_text_and_nothing_else() -> None:
    finding = {
        "severity": "error",
        "code": "other",
        "section": HOSTILE,
        "instance": 0,
        "field": HOSTILE,
        "config_offset": None,
        "source": HOSTILE,
        "target": {"path": HOSTILE},
        "message": HOSTILE,
        "advice": HOSTILE,
    }
    source = {"path": HOSTILE, "size": 1, "layers": []}
    document = {
        "source": source,
        "target": source,
        "compatible": False,
        "findings": [finding],
        "damage": [HOSTILE],
    }
    change = {"device": HOSTILE, "instance": 0, "field": HOSTILE, "vector": 1, "a": HOSTILE, "b": None}
    html = pages.compat_page(document) + pages.compat_fleet_page([views.compat_row(document, HOSTILE)])
    html += pages.diff_page({**document, "equal": False, "changes": [change]})
    assert "<script" not in html
    assert not {"\x1b", "\x07", "\u202e"} & set(html)


def test_a_thousand_streams_take_less_than_5_mb() -> None:
    message = "the PCI configuration byte differs " * 6
    row = {
        "path": "/var/lib/libvirt/qemu/save/" + "x" * 60,
        "compatible": False,
        "cause": "config-mismatch of virtio-net",
        "reasons": 12,
        "message": message,
        "advice": message,
        "undecided": 3,
        "damage": 0,
    }
    assert len(pages.compat_fleet_page([row] * 1000)) < 5_000_000


@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("pdftotext")), reason="no chromium or no pdftotext"
)
def test_what_a_browser_shows_and_prints(tmp_path: Path) -> None:
    page_of(tmp_path, "compat", THREE, FOUR)
    printed = tmp_path / "page.pdf"
    subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--print-to-pdf={printed}", f"file://{tmp_path / 'page.html'}"),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    text = subprocess.run(["pdftotext", "-layout", printed, "-"], capture_output=True, text=True).stdout
    assert "The load fails" in text
    assert "config-mismatch in 0000:00:02.0/virtio-net at 0x9a" in text
    assert "MSI-X table size: 3 vectors, the target has 4" in text
