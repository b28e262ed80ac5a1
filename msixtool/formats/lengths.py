"""Arrays and buffers whose length is a field of the stream: which field that is.

Source: all VMSTATE_*VARRAY* and *VBUFFER* of QEMU 5.2, 7.2, 10.0 and 10.2, without those whose length must be
equal on both sides (…_EQUAL) or is the device's own (ahci's ports, xhci's slots, sdhci's fifo and others:
there it is layout); nvme's, vhost-inflight-region's and uefi-variable-digest's are of 11.1, by what it
writes with -dump-vmstate.
"""

from __future__ import annotations

SIZED_BY: dict[tuple[str, str], str] = {
    ("PCIE_AER_ERROR_LOG", "log"): "log_num",
    ("cbinfoarray", "cbinfo"): "n",
    ("clipboard/content", "data"): "size",
    ("cpu", "cpreg_vmstate_indexes"): "cpreg_vmstate_array_len",
    ("cpu", "cpreg_vmstate_values"): "cpreg_vmstate_array_len",
    ("cpu", "env.regbase"): "env.nwindows",
    ("cpu", "irqstate"): "irqstate_saved_size",
    ("dbus-vmstate", "data"): "data_size",
    ("hpet", "timer"): "num_timers",
    ("nvme", "aer_reqs"): "outstanding_aers",
    ("openpic", "src"): "max_irq",
    ("spapr_dtb", "fdt_blob"): "fdt_size",
    ("spapr_event_log_entry", "extended_log"): "extended_length",
    ("spapr_iommu", "mig_table"): "mig_nb_table",
    ("spapr_nvram", "buf"): "size",
    ("spapr_pci", "msi_devs"): "msi_devs_num",
    ("tpm-emulator", "state_blobs.permanent.buffer"): "state_blobs.permanent.size",
    ("tpm-emulator", "state_blobs.savestate.buffer"): "state_blobs.savestate.size",
    ("tpm-emulator", "state_blobs.volatil.buffer"): "state_blobs.volatil.size",
    ("tpm-spapr", "buffer"): "numbytes",
    ("uefi-var-policy", "entry"): "entry_size",
    ("uefi-variable", "data"): "data_size",
    ("uefi-variable-digest", "digest"): "digest_size",
    ("uefi-variable", "name"): "name_size",
    ("uefi-vars", "pio_xfer_buffer"): "buf_size",
    ("vdagent", "msgbuf"): "msgsize",
    ("vdagent", "xbuf"): "xsize",
    ("vdagent/bytearray", "data"): "len",
    ("vhost-inflight-region/buffer", "addr"): "size",
    ("vmbus-dev", "channels"): "num_channels",
    ("vmbus/gpadl", "gfns"): "num_gfns",
    ("vmbus/vmbus_chan_req", "msg"): "msglen",
    ("vmbus/vmbus_chan_req", "sgl"): "num",
    ("vmxnet3/mcast_list", "mcast_list"): "mcast_list_buff_size",
    ("xen_evtchn", "port_table"): "nr_ports",
    ("xen_gnttab", "gnt_frame_gpas"): "nr_frames",
    ("xen_xenstore", "impl_state"): "impl_state_size",
}
"""(vmsd, field) of each of them, and the field of the same vmsd that says its length: the target goes by it,
so that a length that differs is no other layout. hpet's is num_timers_save since 10.0, and must be equal."""

SIZED_FIELDS = frozenset(field for _, field in SIZED_BY)
"""The names alone: most fields have none of them."""
