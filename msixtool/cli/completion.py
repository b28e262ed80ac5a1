"""What a shell offers while a command is typed: files, the devices of the file at hand, kinds, rules.

Source: click's shell completion; `_MSIXTOOL_COMPLETE=bash_source msixtool` (or zsh_source, fish_source)
prints what the shell has to be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.errors import MsixtoolError

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def complete_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders: the shell's own way to complete them."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_devices(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the devices in the file that was typed before, quickly or not at all."""
    from msixtool import device_names

    # An option that waits for its value keeps click from giving the arguments their names.
    given = [each for each in (*ctx.params.values(), *ctx.args) if each]
    words = [word for each in given for word in (each if isinstance(each, tuple) else (each,))]
    found: list[str] = []
    for path in (word for word in words if isinstance(word, str)):
        try:
            found += device_names(path, quick=True)
        except (MsixtoolError, OSError):
            continue
    return _fitting(found, incomplete)


def complete_kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The kinds of devices."""
    from msixtool import kind_names

    return _fitting(kind_names(), incomplete)


def complete_rules(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The rules of `validate`."""
    from msixtool import rule_names

    return _fitting(rule_names(), incomplete)


def join_at_colons() -> None:
    """Have bash complete what has colons in it, as devices have: to bash each is a word (COMP_WORDBREAKS)."""
    from click.shell_completion import BashComplete, add_completion_class

    class Joined(BashComplete):
        given = ""
        """What of the word that is typed bash does not want again."""

        def get_completion_args(self) -> tuple[list[str], str]:
            before, last = super().get_completion_args()
            words: list[str] = []
            for word in (*before, last):
                if words and word and (word[0] == ":" or words[-1][-1:] == ":"):
                    words[-1] += word
                else:
                    words.append(word)
            if words[-1] != last:
                self.given = words[-1][: words[-1].rindex(":") + 1]
            return words[:-1], words[-1]

        def format_completion(self, item: CompletionItem) -> str:
            return f"{item.type},{item.value.removeprefix(self.given)}"

    add_completion_class(Joined)


def _fitting(names: list[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
