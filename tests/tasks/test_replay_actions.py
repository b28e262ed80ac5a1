"""Each action of a script does what its name says, and each expectation holds and fails where it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.msix import events as ev
from msixtool.msix.state import MsixState
from msixtool.tasks.replay.script import FORMS, parse_script
from tests.conftest import REPOSITORY
from tests.msix.build import state

from .replay_build import DEVICE, failures, happened, last, played

# What comes first, the action, its events, and what holds afterwards.
HELD, LIVE, USED = "mask:0 mask:1", "unmask:0 unmask:1", "use-notifier:0 use-notifier:1"
GIVEN_UP = " ".join(f"vector-unused:{vector}" for vector in range(4))
ACTIONS: list[tuple[str, str, str, str]] = [
    ("", "init 2", "", "vectors 2; masked all; layout table=0:0 pba=0:0x800"),
    ("", "init 300", "", "layout table=0:0:0x2000 pba=0:0x12c0:0x2000 cap=0x40"),
    ("", "init 2 table=2:0x1000 pba=4:0 cap=0x70", "", "layout table=2:0x1000:0x2000 pba=4:0:8 cap=0x70"),
    ("", "init 2 table=0:0 pba=0:0x18", "error", "error overlap; absent"),
    ("", "init 2 table=0:0:0x10", "error", "error ends"),
    ("", "init-exclusive-bar 3", "", "layout table=1:0:0x1000 pba=1:0x800; present"),
    ("", "init-exclusive-bar 3 bar=4", "", "layout table=4:0"),
    ("init 2", "init 2", "error", "error already"),
    ("xen on", "init 2", LIVE, "unmasked all"),
    ("msi-support off", "init 2", "error", "error ENOTSUP"),
    ("other-capability 0x40 12", "init 2", "", "layout cap=0x4c"),
    ("qemu-version 7.1\ninit 2", "notify 9", "", "events"),
    ("qemu-version 7.2\ninit 2", "notify 9", "error", "error aborts"),
    (DEVICE, "write table 0x2c 0", "unmask:2", ""),
    (DEVICE, "write table 0x28 0x1000000d5 8", "", "entry 2 data=0xd5 control=1"),
    (DEVICE, "read table 0x18", "", "value 0xd1"),
    (DEVICE, "read table 0x18 8", "", "value 0xd1"),
    (DEVICE, "read table 0x40", "", "value 0"),
    (DEVICE, "write pba 0 0xf", "", "not-pending all"),
    (DEVICE + "set-pending 1 3", "read pba 0", "", "value 0xa"),
    (DEVICE + "set-pending 1 3", "read pba 0 8", "", "value 0xa"),
    (DEVICE, "write config 0xa3 0x00 1", f"function-mask {HELD}", "disabled"),
    (DEVICE, "write capability 3 0xc0 1", f"function-mask intx-deasserted {HELD}", "control 0xc003"),
    (DEVICE, "write control 0xc000", f"function-mask intx-deasserted {HELD}", "control 0xc003"),
    (DEVICE, "write command 0", "", "bus-master off"),
    (DEVICE, "disable", f"function-mask {HELD}", "control 3"),
    (DEVICE + "function-mask on", "disable", "function-mask", "control 0x4003"),
    (DEVICE + "disable", "function-mask on", "function-mask", "control 0x4003"),
    (DEVICE + "disable", "enable", f"function-mask intx-deasserted {LIVE}", "control 0x8003"),
    (DEVICE, "function-mask on", f"function-mask intx-deasserted {HELD}", "control 0xc003"),
    (DEVICE + "function-mask on", "function-mask off", f"function-mask intx-deasserted {LIVE}", ""),
    (DEVICE, "bus-master off", "", "bus-master off"),
    (DEVICE, "entry 3 0x100000000 1 0", "unmask:3", "entry 3 address=0x100000000 data=1"),
    (DEVICE, "message 2 0xabc00000def 5", "", "entry 2 address=0xabc00000def data=5 control=1"),
    (DEVICE, "mask 0-1", HELD, ""),
    (DEVICE, "mask 9", "", ""),
    (DEVICE + "write table 0x2c 0xfffffff1", "unmask 2", "unmask:2", "entry 2 control=0xfffffff0"),
    (DEVICE, "notify 0 2", "message:0 pending-set:2", "message 0 address=0x100000 data=0xd0"),
    (DEVICE, "use 1 1", "vector-used:1 vector-used:1", "used 1 count=3"),
    (DEVICE + "set-pending 1", "unuse 1", "vector-unused:1 pending-cleared:1", "unused 1"),
    (DEVICE, "unuse-all", GIVEN_UP, "unused all"),
    (DEVICE, "set-pending 0 70", "pending-set:0 error", "error pending"),
    (DEVICE, "set-pending 40", "pending-set:40", "pending 40"),
    (DEVICE + "set-pending 2", "clr-pending 1-2", "pending-cleared:2", "not-pending 2"),
    (DEVICE, "set-mask 0-1 on", HELD, ""),
    (DEVICE + "set-pending 2", "set-mask 2 off", "unmask:2 pending-cleared:2 message:2", ""),
    (DEVICE + "set-pending 2", "set-message 2 0x10 7", "unmask:2", "entry 2 address=0x10 data=7 control=0"),
    (DEVICE, "mask-all", HELD, "masked all"),
    (DEVICE + "set-pending 0", "handle-mask-update 0 on", "pending-cleared:0 message:0", ""),
    (DEVICE + "set-pending 0", "handle-mask-update 0 off", "", "pending 0"),
    (DEVICE + "restore-config 3 on", "update-function-masked", f"function-mask {HELD}", ""),
    (DEVICE, "notifiers on", USED, ""),
    (DEVICE, "notifiers on poll=on", f"{USED} poll-notifier", ""),
    (DEVICE, "notifiers on failing=1", f"{USED} release-notifier:0 error", "error"),
    (DEVICE + "notifiers on", "notifiers off", "release-notifier:0 release-notifier:1", ""),
    (DEVICE + "set-pending 3", "reset", "reset pending-cleared:3 mask:0 mask:1", "disabled; used all"),
    (DEVICE, "uninit", GIVEN_UP, "absent; vectors 0"),
    ("init-exclusive-bar 2", "uninit-exclusive-bar", "", "absent"),
    (DEVICE, "save here", "", "state here"),
    (DEVICE, "restore-config 0x4003 off", "", "function-masked off; bus-master off"),
    (DEVICE, "restore-config 0x4007 off", "error", "error EINVAL; bus-master on"),
    (
        DEVICE + "set-pending 0\nsave here\nnew-process\ninit 4\nuse all",
        "load here",
        "state-restored function-mask unmask:0 pending-cleared:0 message:0 unmask:1",
        "control 0x8003",
    ),
    (DEVICE + "save here\nnew-process\ninit 5", "load here", "error", "error 5"),
    (DEVICE, "new-process\ninit 2", "", "vectors 2"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "action", "events", "holds"), ACTIONS, ids=[f"{a[1]}" for a in ACTIONS])
def test_an_action_does_what_its_name_says(before: str, action: str, events: str, holds: str) -> None:
    step = last(action, before=before)
    assert happened(step) == events.split()
    expected = [f"expect {one}" for one in filter(None, holds.split("; "))]
    assert failures(played("\n".join([before, action, *expected]))) == []


# What comes first, an expectation that holds then, one that does not, and why.
EXPECTATIONS = [
    ("set-pending 0-1", "pending 0-1", "pending 0-2", "vector 2 is not pending"),
    ("set-pending 1", "not-pending 0 2", "not-pending all", "vector 1 is pending"),
    ("", "masked 2-3", "masked all", "vectors 0-1 are not masked"),
    (
        "function-mask on",
        "masked 2 function-mask=off",
        "masked 0 function-mask=off",
        "vector 0 is not masked",
    ),
    ("", "unmasked 0-1", "unmasked 0-2", "vector 2 is masked"),
    ("", "unmasked 0 function-mask=off", "unmasked 0 function-mask=on", "vector 0 is masked"),
    ("use 1", "used 1 count=2", "used 1 count=1", "vector 1 is used 2 times"),
    ("unuse 1", "used 0 2", "used all", "vector 1 is used 0 times"),
    ("unuse 1", "unused 1", "unused 0-1", "vector 0 is used"),
    ("", "entry 1 address=0x100010 data=209 control=0", "entry 1 address=0x100010 data=0", "data is 0xd1"),
    ("", "entry 2", "entry 2 address=0", "address is 0x100020"),
    ("", "entry 2 control=1", "entry 2 control=0", "control is 0x1"),
    ("", "control 0x8003", "control 0xc003", "Message Control is 0x8003"),
    ("", "enabled", "disabled", "MSI-X is enabled"),
    ("disable", "disabled", "enabled", "MSI-X is not enabled"),
    ("", "present", "absent", "the function has MSI-X"),
    ("uninit", "absent", "present", "the function has no MSI-X"),
    ("", "vectors 4", "vectors 5", "the number of vectors is 4"),
    ("", "function-masked off", "function-masked on", "the cached function mask is off"),
    ("", "bus-master on", "bus-master off", "bus mastering is on"),
    ("", "layout table=3:0 pba=3:0x2000 cap=0xa0", "layout pba=3:0x800", "the PBA is at 3:0x2000:0x4000"),
    ("", "layout table=3:0:0x4000", "layout table=3:0:0x1000", "the table is at 3:0x0:0x4000"),
    ("", "layout cap=160", "layout cap=0x40", "the capability is 0xa0"),
    ("uninit", "layout cap=0", "layout table=3:0", "the table is nowhere"),
    ("save here", "state here", "state there", "nothing was saved as there"),
    ("save here\nmask 1\nsave there\nunmask 1", "state here", "state there", "byte 0x1c is 0x00, was 0x01"),
    (
        "save four\nuninit\ninit 1\nsave one",
        "state one",
        "state four",
        "the state has 17 bytes, the one saved 65",
    ),
    ("read table 8", "value 0xd0", "value 0xd1", "the value read is 0xd0"),
    ("read table 8\nmask 0", "events mask:0", "value 0xd0", "the last action read nothing"),
    ("notify 0-1", "message 0 address=0x100000 data=0xd0", "message 1 data=0xd0", "data is 0xd1"),
    ("notify 0", "message 0", "message 1", "no message of vector 1"),
    ("notify 1 2 0", "messages 1 0", "messages 0-1", "messages: 1 0"),
    ("notify 2", "messages", "messages 2", "messages: none"),
    ("unuse 1\nnotify 0-1", "lost 1", "lost", "lost: 1"),
    ("bus-master off\nnotify 0", "lost 0 reason=bus-master-off", "lost 0 reason=vector-unused", "lost: none"),
    (
        "notify 9",
        "error such",
        "error nothing",
        "the error is: QEMU aborts: no such vector: expected below 4",
    ),
    ("notify 0", "messages 0", "error", "no error"),
    ("notify 0 2", "events message pending-set:2", "events message:0", "event 2 is pending-set:2"),
    (
        "notify 0 2",
        "events message:0 pending-set:2",
        "events message:1 pending-set:2",
        "event 1 is message:0",
    ),
    ("notify 0", "events message:0", "events message:0 reset", "there are only 1 events"),
    ("notify 0", "no message 1-3", "no message", "message:0 happened"),
    ("notify 0", "no reset", "no message 0", "message:0 happened"),
    ("", "masked 3", "masked 4", "undefined: no such vector: expected below 4, found 4"),
    ("", "not-pending 63", "not-pending 64", "undefined: no such pending bit"),
    ("", "used 3", "unused 4", "no such vector: expected below 4, found 4"),
]


@pytest.mark.parametrize(("before", "holds", "fails", "why"), EXPECTATIONS)
def test_an_expectation_holds_and_fails(before: str, holds: str, fails: str, why: str) -> None:
    assert last(before, f"expect {holds}").ok
    step = last(before, f"expect {fails}")
    assert (step.ok, step.events) == (False, ())
    assert step.failure is not None
    assert step.failure.startswith(why)


def test_every_action_and_expectation_is_tried_here() -> None:
    scripts = ["\n".join([before, action]) for before, action, _, _ in ACTIONS]
    scripts += [f"{DEVICE}\nexpect {holds}\nexpect {fails}" for _, holds, fails, _ in EXPECTATIONS]
    tried = {statement.form.name for script in scripts for statement in parse_script(script).statements}
    assert set(FORMS) - tried == {"stream", "state"}, "these two are tried below"


def test_a_device_of_a_stream_has_gone_the_load_path() -> None:
    step = last("stream q35-virtio-e1000e-7.2.mig.xz e1000e", before="", folder=REPOSITORY / "samples")
    assert happened(step) == ["state-restored", "function-mask", "unmask:0", "unmask:1", "unmask:3"]
    expected = "expect pending 2\nexpect used all count=1\nexpect control 0x8004\nexpect layout cap=0xa0"
    assert failures(played(f"{step.action}\n{expected}", REPOSITORY / "samples")) == []


def test_a_virtio_device_of_a_stream_marks_its_vectors_used_after_the_load() -> None:
    step = last("stream q35-virtio-e1000e-7.2.mig.xz virtio-net", before="", folder=REPOSITORY / "samples")
    assert happened(step)[-3:] == ["vector-used:0", "vector-used:1", "vector-used:2"]
    assert happened(step)[1] == "function-mask"


def test_which_vectors_are_used_at_load_can_be_said() -> None:
    line = "stream q35-virtio-e1000e-7.2.mig.xz xhci"
    for used, holds in (("none", "unused all"), ("2,4-5", "used 2 4-5"), ("all", "used all")):
        text = f"{line} used={used}\nexpect {holds}"
        assert failures(played(text, REPOSITORY / "samples")) == []


def test_a_stream_that_qemu_refuses_is_an_error_of_the_load(tmp_path: Path, raw_sample: Path) -> None:
    stream = bytearray(raw_sample.read_bytes())
    at = _config_vector(raw_sample)
    stream[at : at + 2] = b"\0\x09"
    (tmp_path / "broken.mig").write_bytes(stream)
    step = last("stream broken.mig virtio-net", before="", folder=tmp_path)
    assert not step.ok
    assert isinstance(step.events[-1], ev.Error)
    assert "config_vector is 9" in step.events[-1].message
    assert last("stream broken.mig e1000e", before="", folder=tmp_path).ok, "the other device is sound"


def _config_vector(path: Path) -> int:
    """Where the config vector of the sample's virtio-net stands: behind table and pending bits."""
    with Dump.open(path) as dump:
        device = dump.select_one("virtio-net")
        return device.offset + device.length


def test_a_raw_vmstate_has_gone_the_load_path(tmp_path: Path) -> None:
    (tmp_path / "four").write_bytes(state(4, masked=[1], pending=[0, 1]).to_vmstate())
    loads = {
        "kind=e1000e": "message 0",
        "kind=virtio-net": "lost 0 reason=vector-unused",
        "kind=virtio-net used=0": "messages 0",
        "used=none": "lost 0",
        "kind=e1000e bus-master=off": "lost 0 reason=bus-master-off",
        "kind=e1000e control=0xc003": "no message",
        "kind=e1000e control=3": "no unmask",
    }
    for options, holds in loads.items():
        text = f"state four vectors=4 {options}\nexpect {holds}\nexpect pending 1"
        assert failures(played(text, tmp_path)) == [], options


def test_a_state_from_outside_is_loaded_by_the_qemu_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "reset").write_bytes(MsixState.reset(2).to_vmstate())
    start = "state reset vectors=2 used=all"
    assert failures(played(f"{start}\nexpect masked all", tmp_path)) == []
    assert failures(played(f"xen on\n{start}\nexpect unmasked all", tmp_path)) == []
    assert failures(played(f"qemu-version 7.1\n{start}\nnotify 2\nexpect events", tmp_path)) == []


def test_a_file_is_loaded_as_a_raw_vmstate_under_the_configuration_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "reset").write_bytes(MsixState.reset(4).to_vmstate())
    assert happened(last("load reset", folder=tmp_path)) == [
        "state-restored",
        "function-mask",
        "mask:0",
        "mask:1",
    ]
