"""msixtool: read, forge and compare QEMU migration streams, centred on MSI-X device state.

The public names are imported when they are first used, so that `import msixtool` stays cheap.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.2.0"

TYPE_CHECKING = False  # as typing has it, which takes a while to import

if TYPE_CHECKING:
    from msixtool.containers.base import (
        bars as bars,
        believed_ratio as believed_ratio,
        told as told,
    )
    from msixtool.devices.config_space import MsixCapability as MsixCapability
    from msixtool.devices.device import MsixDevice as MsixDevice
    from msixtool.devices.interrupt_route import Route as Route
    from msixtool.devices.rings import Ring as Ring
    from msixtool.documents import Origin as Origin
    from msixtool.dump import ALTERNATIVE as ALTERNATIVE, OpenOptions as OpenOptions
    from msixtool.errors import (
        ContainerError as ContainerError,
        FormatError as FormatError,
        InputError as InputError,
        MsixtoolError as MsixtoolError,
        NotAStreamError as NotAStreamError,
        OutputError as OutputError,
        TruncatedError as TruncatedError,
        UsageError as UsageError,
    )
    from msixtool.library.answer import Answer as Answer
    from msixtool.library.capturing import (
        Capture as Capture,
        address_of as address_of,
        capture as capture,
        captured as captured,
    )
    from msixtool.library.checking import Validation as Validation, check_rules as check_rules
    from msixtool.library.command import Command as Command
    from msixtool.library.comparing import Difference as Difference
    from msixtool.library.compatibility import (
        Compatibility as Compatibility,
        Target as Target,
        compare_vmstates as compare_vmstates,
        target_of as target_of,
    )
    from msixtool.library.dump import Dump as Dump, open_input as open_input
    from msixtool.library.explaining import Explained as Explained, explain as explain
    from msixtool.library.fields import Description as Description, Fields as Fields
    from msixtool.library.forging import (
        Forecast as Forecast,
        forecast as forecast,
        forge as forge,
        forge_new as forge_new,
    )
    from msixtool.library.loading import Load as Load, load as load
    from msixtool.library.names import (
        device_names as device_names,
        kind_names as kind_names,
        rule_names as rule_names,
    )
    from msixtool.library.options import (
        CommandOptions as CommandOptions,
        DiffOptions as DiffOptions,
        TargetOptions as TargetOptions,
    )
    from msixtool.library.plain import compat as compat, inspect as inspect, validate as validate
    from msixtool.library.playing import Replay as Replay, replay as replay
    from msixtool.library.reading import Inspection as Inspection
    from msixtool.library.saved import Saved as Saved
    from msixtool.library.tracing import Tracing as Tracing, trace_vm as trace_vm
    from msixtool.library.vectors import Vectors as Vectors
    from msixtool.library.watching import Look as Look, watch_vm as watch_vm
    from msixtool.msix.state import MsixEntry as MsixEntry, MsixState as MsixState
    from msixtool.spec import (
        DeviceSpec as DeviceSpec,
        EntrySpec as EntrySpec,
        Spec as Spec,
        make_spec as make_spec,
        read_spec as read_spec,
    )
    from msixtool.stream.items import Item as Item
    from msixtool.tasks.capture import Captured as Captured, CaptureOptions as CaptureOptions
    from msixtool.tasks.capture.address import Address as Address
    from msixtool.tasks.compat.qemu_target import Trial as Trial
    from msixtool.tasks.compat.vmstate_file import is_vmstate_file as is_vmstate_file
    from msixtool.tasks.diff import Change as Change, DeviceView as DeviceView
    from msixtool.tasks.diff_fields import FieldChange as FieldChange
    from msixtool.tasks.explain import Explanation as Explanation
    from msixtool.tasks.field_tree import Elements as Elements, Group as Group, Leaf as Leaf
    from msixtool.tasks.fields import Section as Section
    from msixtool.tasks.finding import Code as Code, Finding as Finding, Severity as Severity
    from msixtool.tasks.forge_new import make_state as make_state
    from msixtool.tasks.forge_output import Forged as Forged
    from msixtool.tasks.load import Loaded as Loaded, Message as Message
    from msixtool.tasks.ram_digest import BlockDigest as BlockDigest, RamChange as RamChange
    from msixtool.tasks.replay.player import Step as Step
    from msixtool.tasks.rules.catalogue import RuleFinding as RuleFinding
    from msixtool.tasks.trace import Interrupt as Interrupt, Traced as Traced, Verdict as Verdict

_NAMES = {
    "containers.base": "bars believed_ratio told",
    "devices.config_space": "MsixCapability",
    "devices.device": "MsixDevice",
    "devices.interrupt_route": "Route",
    "devices.rings": "Ring",
    "documents": "Origin",
    "dump": "ALTERNATIVE OpenOptions",
    "errors": (
        "ContainerError FormatError InputError MsixtoolError NotAStreamError OutputError "
        "TruncatedError UsageError"
    ),
    "library.answer": "Answer",
    "library.capturing": "Capture address_of capture captured",
    "library.checking": "Validation check_rules",
    "library.command": "Command",
    "library.comparing": "Difference",
    "library.compatibility": "Compatibility Target compare_vmstates target_of",
    "library.dump": "Dump open_input",
    "library.explaining": "Explained explain",
    "library.fields": "Description Fields",
    "library.forging": "Forecast forecast forge forge_new",
    "library.loading": "Load load",
    "library.names": "device_names kind_names rule_names",
    "library.options": "CommandOptions DiffOptions TargetOptions",
    "library.plain": "compat inspect validate",
    "library.playing": "Replay replay",
    "library.reading": "Inspection",
    "library.saved": "Saved",
    "library.tracing": "Tracing trace_vm",
    "library.vectors": "Vectors",
    "library.watching": "Look watch_vm",
    "msix.state": "MsixEntry MsixState",
    "spec": "DeviceSpec EntrySpec Spec make_spec read_spec",
    "stream.items": "Item",
    "tasks.capture": "CaptureOptions Captured",
    "tasks.capture.address": "Address",
    "tasks.compat.qemu_target": "Trial",
    "tasks.compat.vmstate_file": "is_vmstate_file",
    "tasks.diff": "Change DeviceView",
    "tasks.diff_fields": "FieldChange",
    "tasks.explain": "Explanation",
    "tasks.field_tree": "Elements Group Leaf",
    "tasks.fields": "Section",
    "tasks.finding": "Code Finding Severity",
    "tasks.forge_new": "make_state",
    "tasks.forge_output": "Forged",
    "tasks.load": "Loaded Message",
    "tasks.ram_digest": "BlockDigest RamChange",
    "tasks.replay.player": "Step",
    "tasks.rules.catalogue": "RuleFinding",
    "tasks.trace": "Interrupt Traced Verdict",
}
"""The public names of each module."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOMES)]


if not TYPE_CHECKING:  # what it does not know, a type checker is to say

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'msixtool' has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"msixtool.{_HOMES[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
