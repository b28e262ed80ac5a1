"""The causes whose meaning has to be looked up or put together: a function for each."""

from __future__ import annotations

from collections.abc import Callable

from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.causes import outside, sections, stream
from msixtool.tasks.explain.causes.refused import REFUSED
from msixtool.tasks.explain.config_space import bad_config_data
from msixtool.tasks.finding import Finding

__all__ = ["CAUSES"]

CAUSES: dict[str, Callable[[Case], Finding]] = {
    **REFUSED,
    "magic": stream.magic,
    "multifd-magic": stream.multifd_magic,
    "channel-magic": stream.channel_magic,
    "section-type": stream.section_type,
    "footer-missing": sections.footer_missing,
    "footer-id": sections.footer_id,
    "stream-error": stream.stream_error,
    "config-space": bad_config_data,
    "blocked": outside.blocked,
    "blocked-device": outside.blocked_device,
    "libvirt-cpu": outside.libvirt_cpu,
}
"""By the name of the wording."""
