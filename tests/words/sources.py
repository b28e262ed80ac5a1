"""The messages of a QEMU source tree that migration and snapshots reach, as the format strings in its code.

Functions and their calls are found by the shape of QEMU's code (a definition begins in the first column and
ends with a brace there). Reached are all functions of migration/, and elsewhere those that a vmstate
description, SaveVMHandlers or a migration notifier names, with what they call in their own folder.

Source: any release of QEMU; the names of its reporting functions are in include/qapi/error.h,
include/qemu/error-report.h and include/hw/virtio/virtio.h.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPTH = 4
"""How many calls deep a message may be below a function that migration calls."""

_REPORTS = re.compile(
    r"\b(?:error_report|error_report_once|error_setg|error_setg_errno|error_setg_file_open|error_prepend"
    r"|error_propagate_prepend|warn_report|warn_report_once|virtio_error|vhost_dev_err|error_vprepend"
    r"|VHOST_OPS_DEBUG)\s*\("
)
_DEFINITION = re.compile(
    r"^(?!static const|struct|typedef|enum|union)[A-Za-z_][\w \t*]*?[ *\t\n](\w+)"
    r"\((?:[^;{}()]|\([^;{}()]*\))*\)\s*\n?\{",
    re.MULTILINE,
)
_ROOTS = re.compile(
    r"\.(?:post_load|post_load_errp|pre_load|pre_load_errp|pre_save|pre_save_errp|post_save|get|put|load_state"
    r"|load_setup|load_cleanup|save_setup|save_live_iterate|save_live_complete_precopy|save_complete"
    r"|save_state|save_prepare|load_config|save_config|load_queue|load_done|load|save|load_extra_state|vmsd_load"
    r"|needed|switchover_start|load_state_buffer|save_live_complete_precopy_thread|is_active"
    r"|load_state_cleanup|pre_load_ram)\s*=\s*(\w+)"
    r"|VMSTATE_\w+\([^;{}]*?(\w+_(?:post_load|get|put|load|save|valid))\b"
    r"|(?:migration_add_notifier\w*|migrate_add_blocker\w*)\(([^;]*?)\)|register_savevm\w*\(([^;]*?)\)",
    re.DOTALL,
)
_VIRTIO_ROOTS = re.compile(
    r"\w*(?:virtio_load|virtio_set_features_nocheck|virtqueue_map_desc|virtio_queue_\w*load\w*|virtqueue_get_head"
    r"|virtqueue_num_heads|virtqueue_split_pop|virtqueue_packed_pop|vhost_dev_start|vhost_dev_stop|vhost_\w*state"
    r"|vhost_virtqueue_st(?:art|op)|vhost_user_\w+|vhost_migration_log|kvm_arch_put_registers|kvm_put_\w+|vfio_migration_\w+|kvm_arm_\w+"
    r"|put_register\w*|kvm_set_device_attr|kvm_device_access|bdrv_inactivate\w*|bdrv_activate\w*|bdrv_invalidate_cache\w*|bdrv_.*snapshot\w*"
    r"|raw_check_lock_bytes|raw_apply_lock_bytes|raw_handle_perm_lock|blk_root_\w*activate|qcow2_co_invalidate_cache|qcow2_inactivate"
    r"|tpm_emulator_set_state\w*|tpm_emulator_get_state\w*|os_mem_prealloc|qemu_prealloc_mem|runstate_set|tap_\w+)"
)
_CALL = re.compile(r"\b(\w+)\s*\(")
_NAME = re.compile(r"\b[A-Za-z_]\w+\b")
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_MACRO = re.compile(r"\b(?:PRI|HWADDR_PRI|VADDR_PRI|RAM_ADDR_FMT|TARGET_FMT|FMT_)\w*")
_CONVERSION = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t|q)?([diouxXcsfgpm%])")
_NAMED = re.compile(r'#define (QERR_\w+) *(?:\\\n)? *"([^"\n]*)"')
_QERR = re.compile(r"\bQERR_\w+")
_OWN_NAME = re.compile(r"^[^\"]*\"(?:[^\"%]|%%)*%s[^\"]*\"[^;]*?,\s*__func__")
"""The first value is the name of the function that reports."""
_ESCAPES = {"n": "\n", "t": "\t"}
_COMMENT = re.compile(r"/\*.*?\*/|(?m:^\s*//.*$)", re.DOTALL)
_ELSEWHERE = re.compile(r"(?:win32|bsd|solaris|stub|haiku)")
"""Files of other systems than Linux, and of what is not built."""
_FOLDERS = ("migration", "hw", "target", "accel", "block", "net", "system", "softmmu", "io", "chardev",
            "backends", "audio", "dump", "replay", "ui", "util", "crypto")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """One message: the file it is in, relative to the tree, and its format string, joined and unescaped."""

    file: str
    text: str

    @property
    def folder(self) -> str:
        """What a count is made by: the first two parts of the path below hw, the first elsewhere."""
        parts = self.file.split("/")
        return "/".join(parts[:2]) if parts[0] in ("hw", "target") else parts[0]


@dataclass(slots=True)
class _Function:
    name: str
    body: str


def messages(tree: Path) -> list[Message]:
    """Every message that is reached, once a file, in the order of files."""
    found: dict[Message, None] = {}
    shared = _shared(tree)
    for folder in sorted(path for name in _FOLDERS for path in _subfolders(tree / name)):
        texts = {path: _read(path) for path in sorted(folder.glob("*.c")) if not _ELSEWHERE.search(path.name)}
        reached = _reached(texts, whole=folder.relative_to(tree).parts[0] == "migration")
        for path, function in reached:
            for text in _formats(function, shared):
                found.setdefault(Message(path.relative_to(tree).as_posix(), text))
    return list(found)


def _subfolders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield folder
        for path in folder.rglob("*"):
            if path.is_dir():
                yield path


def _read(path: Path) -> str:
    text = path.read_text("utf-8", "replace")
    return _COMMENT.sub(" ", text)


def _reached(texts: dict[Path, str], *, whole: bool) -> list[tuple[Path, _Function]]:
    functions: dict[str, list[tuple[Path, _Function]]] = {}
    for path, text in texts.items():
        for function in _functions(text):
            functions.setdefault(function.name, []).append((path, function))
    if whole:
        return [entry for entries in functions.values() for entry in entries]
    roots = {name for text in texts.values() for name in _named_roots(text)}
    roots |= {name for name in functions if _VIRTIO_ROOTS.fullmatch(name)}
    seen: set[str] = set()
    level = roots & functions.keys()
    for _ in range(DEPTH):
        seen |= level
        calls = {
            call for name in level for _, function in functions[name] for call in _CALL.findall(function.body)
        }
        level = (calls & functions.keys()) - seen
    return [entry for name in functions if name in seen for entry in functions[name]]


def _named_roots(text: str) -> Iterator[str]:
    for match in _ROOTS.finditer(text):
        for group in match.groups():
            if group:
                yield from _NAME.findall(group)


def _functions(text: str) -> Iterator[_Function]:
    for match in _DEFINITION.finditer(text):
        end = text.find("\n}", match.end())
        yield _Function(match[1], text[match.end() : end if end > 0 else len(text)])


def _shared(tree: Path) -> dict[str, str]:
    """The formats that have a name (QERR_*) instead of standing in the call."""
    header = tree / "include" / "qapi" / "qmp" / "qerror.h"
    text = header.read_text("utf-8", "replace") if header.is_file() else ""
    return dict(_NAMED.findall(text))


def _formats(function: _Function, shared: dict[str, str]) -> Iterator[str]:
    body = function.body
    for match in _REPORTS.finditer(body):
        end = body.find(";", match.end())
        call = body[match.end() : end if end > 0 else len(body)]
        name = next((name for name in _QERR.findall(call) if name in shared), None)
        text = _first_string(call) if name is None else shared[name]
        if text is not None and _OWN_NAME.search(call):
            text = text.replace("%s", function.name, 1)
        if text is not None and re.search(r"[A-Za-z]{3}", _CONVERSION.sub("", text)):
            yield text


def _first_string(call: str) -> str | None:
    """The first string literal of a call, with those that follow it and the format macros between them."""
    first = _STRING.search(call)
    if first is None:
        return None
    parts, position = [first[1]], first.end()
    while True:
        gap = re.compile(r"\s*(?:(\w+)\s*)?(?=\"|,|\)|$)").match(call, position)
        if gap is None:
            break
        position = gap.end()
        if gap[1] and _MACRO.match(gap[1]):
            parts.append("x")
        literal = _STRING.match(call, position)
        if literal is None:
            break
        parts.append(literal[1])
        position = literal.end()
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), "".join(parts)).strip()


def filled(text: str) -> str:
    """A format string with a value for each conversion, as QEMU would print it."""
    return _CONVERSION.sub(lambda found: _VALUES[found[1]], text)


_VALUES = {**dict.fromkeys("diu", "3"), **dict.fromkeys("oxXp", "3"), "c": "c", "s": "name", "f": "1.0",
           "g": "1.0", "m": "Invalid argument", "%": "%"}  # fmt: skip
