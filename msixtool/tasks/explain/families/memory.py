"""Guest memory: RAM blocks, pages, postcopy, preallocation, mapped-ram.

Source: QEMU migration/ram.c, postcopy-ram.c, savevm.c, page_cache.c, dirtyrate.c, util/oslib-posix.c,
system/physmem.c.
"""

from __future__ import annotations

from msixtool.qemu.refusals.logged import RAM
from msixtool.tasks.explain.families.family import family
from msixtool.tasks.finding import Code

OF_MEMORY = (
    family(
        "preallocation",
        "The target's host does not have the memory that the guest's RAM asks for at once: preallocation"
        " (prealloc=on, huge pages, locked memory) failed.",
        "Free memory on the target, or give it as many huge pages of the source's size (vm.nr_hugepages,"
        " on the same NUMA nodes); raise the memory limits of its cgroup or ulimit -l; or start without"
        " prealloc=on.",
        "*preallocating memory failed", "*prealloc_mem:*", "Insufficient free host memory pages*",
        "cannot set up guest memory*", "unable to map backing store*", "can't open backing store*",
        "Cannot allocate memory*", "os_mem_prealloc*", "qemu_prealloc_mem*", "mlock: *",
        "locking memory failed*", "*mlockall*", "Failed to allocate*memory*", "cannot allocate memory*",
        "out of memory*", "Out of memory*", "unable to allocate*memory*", "failed to allocate*memory*",
        "*munlockall*",
        section=RAM,
    ),
    family(
        "memory-devices",
        "The target was started without room for memory devices (pc-dimm, nvdimm, virtio-mem, virtio-pmem),"
        " and its command line has one.",
        "Give the target the source's -m with slots= and maxmem=.",
        "memory devices (e.g. for memory hotplug) are not enabled*",
        "the configuration is not prepared for memory devices*",
        field="maxmem",
    ),
    family(
        "postcopy-host",
        "The target's host cannot take part in postcopy: userfaultfd is missing, not allowed or without a"
        " feature that the guest's memory needs, or the memory cannot be handled by it.",
        "On the target allow it (sysctl vm.unprivileged_userfaultfd=1, or the capability CAP_SYS_PTRACE,"
        " /dev/userfaultfd), use a kernel with userfaultfd for shared memory and huge pages, or migrate"
        " without postcopy-ram.",
        "*userfaultfd*", "*Userfaultfd*", "*userfault*", "*UFFDIO_*", "*uffd_open*", "*Userfault*",
        "*userfault_*", "Failed features*", "Host backend files need to be TMPFS*",
        "Target page size bigger than host page size", "*No OS support", "Postcopy is not supported*",
        "Postcopy requires RAM blocks*", "__NR_userfaultfd*", "Postcopy needs matching*",
        "Failed to map test area*", "Missing userfault*", "Failed to setup incoming postcopy RAM blocks*",
        "Postcopy RAM incoming init failed*", "Failed to map postcopy_tmp_page*",
        "*Postcopy not supported on non-Linux*", "ram_block_enable_notify failed",
        section=RAM, field="postcopy-ram",
    ),
    family(
        "postcopy-broken",
        "The migration had switched to postcopy, and then the connection or one side failed: the guest's"
        " memory is on both sides, and the VM is paused until the migration is recovered.",
        "Do not end either QEMU. Make the connection good and resume (migrate-recover on the target, then"
        " migrate with resume=true on the source; virsh migrate --postcopy-resume). The other side's log"
        " says what ended it.",
        "Detected IO failure for postcopy*", "postcopy*failed*", "*postcopy_*", "Postcopy*",
        "loadvm failed during postcopy*", "CMD_POSTCOPY_*", "RAM postcopy is*", "*MIG_RP_MSG_*",
        "Migrate recovery is triggered already", "migrate-pause is*", "migrate-recover*", "*postcopy*",
        "Cannot resume*", "paused but don't allow*", "rp message failed*", "*illegal resume*",
        "*illegal host addr*", "ram_save_queue_pages*", "Misaligned page request*", "*request overrun*",
        "Return path*", "return path*", "Failed to resolve shared fault*", "blocktime*",
        "ram_save_host_page_urgent*", "*has no previous block*", "Reload bitmap*", "bitmap size mismatch*",
        "read bitmap failed for ramblock*", "end mark incorrect*", "incorrect state*",
        "resume_prepare() failure detected*", "Req_Page_id with length*", "Received '*' message*length*",
        "Received invalid message*", "postcopy_pause*handshake failed: *", "Failed to send packaged data*",
        "Failed to pause * migration",
        "Failed to map large zero page*", "POLLERR on poll*",
        section=RAM, field="postcopy-ram",
    ),
    family(
        "page-damaged",
        "A page of guest memory in the stream cannot be read: a wrong flag, offset, length or compression."
        " The stream is damaged, or another feature was on when it was written.",
        "Set the same migration capabilities on both sides and save again; take a copy of the stream that"
        " is whole.",
        "Failed to load XBZRLE page*", "XBZRLE*", "Illegal RAM offset*", "Found a zero page with value*",
        "Unknown combination of migration flags*", "Ack, bad migration stream*", "Getting RAM address failed",
        "Unexpected RAM flags*", "page outside of ramblock*", "*zero page outside*", "Failed to decompress*",
        "compressed data failed*", "decompress data failed", "Invalid compressed data length*",
        "Received an unexpected compressed page", "Non-same host page*", "Unknown compress*", "Invalid RAM*",
        "*ramblock*range*",
        section=RAM, code=Code.STREAM,
    ),
    family(
        "mapped-ram",
        "The mapped-ram file does not hold the pages where its headers say, or was written by another"
        " version.",
        "Take the file again, whole and at the same offset, with mapped-ram on both sides.",
        "mapped-ram*", "Mapped-ram*", "Error reading dirty bitmap", "*region has bad alignment",
        "failed to read page*from file offset*", "*fixed-ram*",
        section=RAM,
    ),
    family(
        "ram-block",
        "A block of guest memory is not the same on both sides, was resized during the migration, or"
        " cannot be found.",
        "Give the target the source's -m, memory backends (ids and sizes), NUMA nodes and devices with ROMs;"
        " no hotplug during the migration. Where names differ by the object's path:"
        " x-use-canonical-path-for-ramblock-id= on the memory-backend, as the source's machine type has it.",
        "RAM block*", "*RAMBlock*", "*ramblock*", "Mismatched GPAs for block*", "Can't find block*",
        "*invalid block name*", "block*should not be migrated*", "*block '*' not found",
        "*missing block name", "*failed to read block name", "ram_discard_range*", "ram block search failed",
        "Failed to discard RAM*", "failed to discard RAM*", "Unexpected error discarding RAM*",
        "Failed to prepare for RAM discard*", "Size mismatch*", "Length mismatch*", "colo_cache*",
        section=RAM, code=Code.RAM_MISSING,
    ),
    family(
        "save-memory",
        "The source could not prepare or send the guest's memory.",
        "See that the source's host has memory to spare (bitmaps, caches); set xbzrle-cache-size and the"
        " dirty limits to values that it takes.",
        "Error allocating*", "cache size*", "Failed to allocate cache", "Failed to allocate page cache",
        "Init ramstate fail", "clear_bitmap_shift*", "ram_write_tracking*", "background-snapshot*",
        "Background-snapshot*", "multifd synchronization failed", "ram_save_target_page failed",
        "*dirty limit*", "dirty-limit*", "*dirty rate*", "*dirty ring*", "dirty-ring*",
        "calc-time is out of range*", "*sample-pages*", "dirtyrate*", "multifd flush*", "the cache*",
        "*Non-same*", "vcpu_dirty_limit*", "Parameter 'vcpu_dirty_limit'*", "Error*zero page*",
        "*write tracking*", "memory*dirty*", "*unaligned memory*", "Calculation time is out of range*",
        "is not enabled, use other method instead",
        section=RAM,
    ),
)  # fmt: skip
"""By what is to be done, the special before the general."""
