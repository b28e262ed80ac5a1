"""Pages for a browser, made from the documents of the contract.

A page stands alone: its style is in it, it asks nothing of any network and needs no script. One
template a command (`templates/`), all on `base.html.j2`; what a template counts or words is made
in `views.py`. Everything that comes from a stream is escaped by the template engine.

To add a page: a template, a function here, and `options.html_options` on the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from msixtool import __version__
from msixtool.errors import UsageError
from msixtool.pages import views, ways
from msixtool.words import byte_size

if TYPE_CHECKING:
    from jinja2 import Environment

    from msixtool.documents import Document


def check_renderer() -> None:
    """Raises UsageError where the library that pages are made with is not installed."""
    _environment()


def inspect_page(document: Document) -> str:
    """The page of an `msixtool.inspect/1` document whose devices are those of `msixtool.show/1`."""
    return _render(
        "inspect.html.j2",
        title=document["source"]["path"],
        document=document,
        facts=views.stream_facts(document),
        cards=[views.card(device) for device in document["devices"]],
    )


def inspect_fleet_page(documents: Sequence[Document]) -> str:
    """A row for each `msixtool.inspect/1` document (`views.fleet_row` of it is enough)."""
    return _render("inspect_fleet.html.j2", title="Migration streams", rows=documents)


def diff_page(document: Document) -> str:
    """The page of an `msixtool.diff/1` document."""
    return _render(
        "diff.html.j2", title="Difference", document=document, devices=views.changes_by_device(document)
    )


def compat_page(document: Document) -> str:
    """The page of an `msixtool.compat/1` document."""
    return _render("compat.html.j2", title="Compatibility", document=document)


def compat_fleet_page(rows: Sequence[Document]) -> str:
    """Who loads and who does not, by cause: each row is of `views.compat_row`."""
    return _render("compat_fleet.html.j2", title="Compatibility", fleet=views.by_cause(rows))


def trace_page(document: Document) -> str:
    """The page of an `msixtool.trace/1` document: the lost first, then each interrupt's way."""
    devices = [ways.traced_device(device) for device in document["devices"]]
    return _render("trace.html.j2", title="Interrupts", document=document, devices=devices)


_PAGES = {"msixtool.diff/1": diff_page, "msixtool.compat/1": compat_page, "msixtool.trace/1": trace_page}


def page_of(document: Document) -> str:
    """The page of a document, by its schema."""
    return _PAGES[document["schema"]](document)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(version=__version__, **values)


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise UsageError("--html needs the library jinja2: pip install 'msixtool[html]'") from None
    environment = Environment(
        loader=PackageLoader("msixtool.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        hex=views.hexadecimal, bytes=byte_size, shown=views.shown, value=views.shown_value
    )
    return environment
