/*
 * QEMU's hw/pci/msix.c (msix.c beside this file when it is built) as a library that plays one operation
 * at a time. What msix.c calls is in qemu.h; what it does to the outside is written into a log.
 * An assertion that fails ends the operation (ABORTED), where it would end QEMU.
 */
#include "qemu.h"

jmp_buf referee_assertion;
struct event referee_log[LOG_SIZE];
unsigned referee_logged;
bool msi_nonbroken = true;
bool referee_xen;
uint64_t referee_value;

static PCIDevice device;
static MemoryRegion table_region, pba_region;
static bool fails[MAX_VECTORS];

#include "msix.c"

enum { ABORTED = -1000 };

void referee_emit(uint64_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    if (referee_logged < LOG_SIZE) {
        referee_log[referee_logged++] = (struct event){ kind, a, b, c };
    }
}

static int on_use(PCIDevice *dev, unsigned vector, MSIMessage message)
{
    referee_emit(EVENT_USE, vector, message.address, message.data);
    return fails[vector] ? -1 : 0;
}

static void on_release(PCIDevice *dev, unsigned vector)
{
    referee_emit(EVENT_RELEASE, vector, 0, 0);
}

static void on_poll(PCIDevice *dev, unsigned start, unsigned end)
{
    referee_emit(EVENT_POLL, start, end, 0);
}

/* A new function without MSI-X; `others` are pairs of offset and size of capabilities that are there. */
void referee_new(int bus_master, int msi_supported, int xen, const uint8_t *others, unsigned pairs)
{
    free(device.msix_table);
    free(device.msix_pba);
    free(device.msix_entry_used);
    memset(&device, 0, sizeof device);
    device.name = "function";
    device.wmask[PCI_COMMAND] = device.config[PCI_COMMAND] = 0;
    device.wmask[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    device.config[PCI_COMMAND] |= bus_master ? PCI_COMMAND_MASTER : 0;
    for (unsigned i = 0; i < pairs; i++) {
        memset(device.used + others[2 * i], 1, (others[2 * i + 1] + 3u) & ~3u);
    }
    msi_nonbroken = msi_supported;
    referee_xen = xen;
}

/* Configuration space as pci_default_write_config writes it, and then msix.c's part. */
static void write_config(uint32_t address, uint32_t value, int length)
{
    for (int i = 0; i < length && address + i < sizeof device.config; i++) {
        uint8_t writable = device.wmask[address + i];
        device.config[address + i] = (device.config[address + i] & ~writable) | (value >> 8 * i & writable);
    }
    msix_write_config(&device, address, value, length);
}

/*
 * An access as the memory core makes it: pieces as wide as the address is aligned, each of which the
 * region takes where its `valid` sizes say so, in parts of its `impl` size. Past the region is nothing.
 */
static uint64_t access_region(MemoryRegion *region, uint64_t address, uint64_t value, unsigned length, bool write)
{
    uint64_t result = 0;

    for (unsigned done = 0, piece; done < length; done += piece) {
        uint64_t at = address + done, low = at & -at;
        unsigned most = region->ops ? region->ops->valid.max_access_size : 1;

        for (piece = 8; piece > length - done || (low && piece > low) || piece > most; piece /= 2) {
        }
        /* What straddles the end of the region is cut there first. */
        while (piece > 1 && at < region->size && at + piece > region->size) {
            piece /= 2;
        }
        if (!region->ops || at + piece > region->size || piece < region->ops->valid.min_access_size) {
            continue;
        }
        unsigned part = region->ops->impl.max_access_size;
        part = part < piece ? part : piece;
        for (unsigned i = 0; i < piece; i += part) {
            unsigned shift = 8 * (done + i);
            if (write) {
                region->ops->write(&device, at + i, part == 8 ? value : value >> shift & 0xffffffffu, part);
            } else {
                result |= region->ops->read(&device, at + i, part) << shift;
            }
        }
    }
    return result;
}

/*
 * Play one operation. The result is 0, a negative errno or ABORTED; what a read, a question or save gives
 * is in referee_value. `buffer` is what load reads and what save writes.
 */
int referee_play(int operation, const uint64_t *a, uint8_t *buffer, size_t size)
{
    QEMUFile file = { buffer, size };
    PCIDevice *dev = &device;

    referee_logged = referee_value = 0;
    if (setjmp(referee_assertion)) {
        return ABORTED;
    }
    switch (operation) {
    case 0:
        table_region = (MemoryRegion){ .size = a[3] };
        pba_region = (MemoryRegion){ .size = a[6] };
        return msix_init(dev, a[0], &table_region, a[1], a[2], &pba_region, a[4], a[5], a[7], NULL);
    case 1:
        return msix_init_exclusive_bar(dev, a[0], a[1], NULL);
    case 2:
        msix_uninit(dev, &table_region, &pba_region);
        return 0;
    case 3:
        msix_uninit_exclusive_bar(dev);
        return 0;
    case 4:
        msix_reset(dev);
        return 0;
    case 5:
        write_config(a[0], a[1], a[2]);
        return 0;
    case 6:
        pci_set_word(dev->config + dev->msix_cap + PCI_MSIX_FLAGS, a[0]);
        dev->config[PCI_COMMAND] = a[1] ? PCI_COMMAND_MASTER : 0;
        return 0;
    case 7:
        msix_load(dev, &file);
        return 0;
    case 8:
        referee_value = access_region(&dev->msix_table_mmio, a[0], 0, a[1], false);
        return 0;
    case 9:
        access_region(&dev->msix_table_mmio, a[0], a[2], a[1], true);
        return 0;
    case 10:
        referee_value = access_region(&dev->msix_pba_mmio, a[0], 0, a[1], false);
        return 0;
    case 11:
        access_region(&dev->msix_pba_mmio, a[0], a[2], a[1], true);
        return 0;
    case 12:
        msix_notify(dev, a[0]);
        return 0;
    case 13:
        msix_set_message(dev, a[0], (MSIMessage){ a[1], a[2] });
        return 0;
    case 14:
        msix_set_pending(dev, a[0]);
        return 0;
    case 15:
        msix_clr_pending(dev, a[0]);
        return 0;
#ifdef HAS_SET_MASK
    case 16:
        msix_set_mask(dev, a[0], a[1]);
        return 0;
#endif
    case 17:
#ifdef VECTOR_USE_RETURNS
        return msix_vector_use(dev, a[0]);
#else
        msix_vector_use(dev, a[0]);
        return 0;
#endif
    case 18:
        msix_vector_unuse(dev, a[0]);
        return 0;
    case 19:
        msix_unuse_all_vectors(dev);
        return 0;
    case 20:
        for (unsigned vector = 0; vector < MAX_VECTORS; vector++) {
            fails[vector] = vector < 64 && a[1] >> vector & 1;
        }
        return msix_set_vector_notifiers(dev, on_use, on_release, a[0] ? on_poll : NULL);
    case 21:
        msix_unset_vector_notifiers(dev);
        return 0;
    case 22:
        msix_update_function_masked(dev);
        return 0;
    case 23:
        msix_handle_mask_update(dev, a[0], a[1]);
        return 0;
    case 24:
        msix_mask_all(dev, dev->msix_entries_nr);
        return 0;
    case 25:
        msix_save(dev, &file);
        referee_value = size - file.size;
        return 0;
    case 26:
        referee_value = msix_is_masked(dev, a[0]);
        return 0;
    }
    abort();
}

/* Everything that is remembered: 8 bytes of registers, the use counters, table and padded pending bits. */
size_t referee_state(uint8_t *out)
{
    PCIDevice *dev = &device;
    unsigned n = dev->msix_entries_nr;
    uint8_t *at = out;

    *at++ = dev->msix_cap;
    *at++ = msix_present(dev) ? dev->config[dev->msix_cap + PCI_MSIX_FLAGS] : 0;
    *at++ = msix_present(dev) ? dev->config[dev->msix_cap + PCI_MSIX_FLAGS + 1] : 0;
    *at++ = msix_present(dev) && dev->msix_function_masked;
    *at++ = !!(dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER);
    *at++ = !!msix_present(dev);
    *at++ = !!msix_enabled(dev);
    *at++ = 0;
    for (unsigned vector = 0; vector < n; vector++) {
        pci_set_long(at, dev->msix_entry_used[vector]);
        at += 4;
    }
    if (msix_present(dev)) {
        memcpy(at, dev->msix_table, dev->msix_table_mmio.size);
        at += dev->msix_table_mmio.size;
        memcpy(at, dev->msix_pba, dev->msix_pba_mmio.size);
        at += dev->msix_pba_mmio.size;
    }
    return at - out;
}
