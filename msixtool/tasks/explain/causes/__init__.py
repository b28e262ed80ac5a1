"""The causes whose meaning has to be looked up or put together: a function for each."""

from __future__ import annotations

from collections.abc import Callable

from msixtool.tasks.explain.case import Case
from msixtool.tasks.explain.causes import devices, memory, outside, sections, stream
from msixtool.tasks.explain.config_space import bad_config_data
from msixtool.tasks.explain.explanation import Told

__all__ = ["CAUSES"]

CAUSES: dict[str, Callable[[Case], Told]] = {
    "magic": stream.magic,
    "multifd-magic": stream.multifd_magic,
    "page-bits": stream.page_bits,
    "section-type": stream.section_type,
    "section-unknown": sections.section_unknown,
    "version-too-new": sections.version_too_new,
    "version-too-old": sections.version_too_old,
    "footer-missing": sections.footer_missing,
    "footer-id": sections.footer_id,
    "stream-error": stream.stream_error,
    "not-equal": devices.not_equal,
    "at-most": devices.at_most,
    "block-unknown": memory.block_unknown,
    "block-size": memory.block_size,
    "block-too-large": memory.block_size,
    "config-space": bad_config_data,
    "features": devices.virtio_features,
    "queue-size": devices.queue_size,
    "blocked": outside.blocked,
    "blocked-device": outside.blocked_device,
    "libvirt-cpu": outside.libvirt_cpu,
}
"""By the name of the wording."""
