/*
 * As much of QEMU as hw/pci/msix.c asks for, written for the referee: types with the members that it uses,
 * and its surroundings in a few lines each. Nothing here is QEMU's own text.
 */
#ifndef REFEREE_QEMU_H
#define REFEREE_QEMU_H

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VECTORS 65536
#define LOG_SIZE 8192

/* What the outside sees. */
enum { EVENT_MESSAGE = 1, EVENT_USE, EVENT_RELEASE, EVENT_POLL, EVENT_INTX };
struct event {
    uint64_t kind, a, b, c;
};
extern jmp_buf referee_assertion;
extern bool msi_nonbroken, referee_xen;
void referee_emit(uint64_t kind, uint64_t a, uint64_t b, uint64_t c);

#define assert(condition) ((condition) ? (void)0 : longjmp(referee_assertion, 1))

/* Words of configuration space and table: little-endian, as this machine has to be. */
static inline void pci_set_word(uint8_t *at, uint16_t value) { memcpy(at, &value, sizeof value); }
static inline void pci_set_long(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static inline void pci_set_quad(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }
static inline uint32_t pci_get_long(const uint8_t *at) { uint32_t v; memcpy(&v, at, sizeof v); return v; }
static inline uint64_t pci_get_quad(const uint8_t *at) { uint64_t v; memcpy(&v, at, sizeof v); return v; }

/* The registers, by the PCI specification. */
enum {
    PCI_COMMAND = 4,
    PCI_COMMAND_MASTER = 4,
    PCI_CAP_ID_MSIX = 0x11,
    MSIX_CAP_LENGTH = 12,
    PCI_MSIX_FLAGS = 2,
    PCI_MSIX_FLAGS_QSIZE = 0x7ff,
    PCI_MSIX_FLAGS_MASKALL = 0x4000,
    PCI_MSIX_FLAGS_ENABLE = 0x8000,
    PCI_MSIX_FLAGS_BIRMASK = 7,
    PCI_MSIX_TABLE = 4,
    PCI_MSIX_PBA = 8,
    PCI_MSIX_ENTRY_SIZE = 16,
    PCI_MSIX_ENTRY_LOWER_ADDR = 0,
    PCI_MSIX_ENTRY_DATA = 8,
    PCI_MSIX_ENTRY_VECTOR_CTRL = 12,
    PCI_MSIX_ENTRY_CTRL_MASKBIT = 1,
    PCI_BASE_ADDRESS_SPACE_MEMORY = 0,
    QEMU_PCI_CAP_MSIX = 2,
};

/* Memory regions: a size, and who answers for it. */
typedef uint64_t hwaddr;
typedef struct {
    uint64_t (*read)(void *opaque, hwaddr addr, unsigned size);
    void (*write)(void *opaque, hwaddr addr, uint64_t val, unsigned size);
    int endianness;
    struct {
        unsigned min_access_size, max_access_size;
    } valid, impl;
} MemoryRegionOps;
typedef struct {
    const MemoryRegionOps *ops;
    uint64_t size;
} MemoryRegion;
enum { DEVICE_LITTLE_ENDIAN };
#define memory_region_size(region) ((region)->size)
#define memory_region_init(region, owner, name, bytes) (*(region) = (MemoryRegion){ NULL, bytes })
#define memory_region_init_io(region, owner, handlers, opaque, name, bytes) \
    (*(region) = (MemoryRegion){ handlers, bytes })
#define memory_region_add_subregion(parent, offset, child) ((void)0)
#define memory_region_del_subregion(parent, child) ((child)->ops = NULL)

/* The function. */
typedef struct MSIMessage {
    uint64_t address;
    uint32_t data;
} MSIMessage;
typedef struct PCIDevice PCIDevice;
typedef int (*MSIVectorUseNotifier)(PCIDevice *dev, unsigned vector, MSIMessage message);
typedef void (*MSIVectorReleaseNotifier)(PCIDevice *dev, unsigned vector);
typedef void (*MSIVectorPollNotifier)(PCIDevice *dev, unsigned start, unsigned end);
struct PCIDevice {
    const char *name;
    uint8_t config[256], wmask[256], used[256];
    uint32_t cap_present;
    uint8_t msix_cap;
    int msix_entries_nr;
    uint8_t *msix_table, *msix_pba;
    unsigned *msix_entry_used;
    bool msix_function_masked;
    MemoryRegion msix_exclusive_bar, msix_table_mmio, msix_pba_mmio;
    MSIVectorUseNotifier msix_vector_use_notifier;
    MSIVectorReleaseNotifier msix_vector_release_notifier;
    MSIVectorPollNotifier msix_vector_poll_notifier;
    MSIMessage (*msix_prepare_message)(PCIDevice *dev, unsigned vector);
};
bool msix_is_masked(PCIDevice *dev, unsigned vector);
int msix_present(PCIDevice *dev);
int msix_enabled(PCIDevice *dev);
void msix_notify(PCIDevice *dev, unsigned vector);
#define pci_device_deassert_intx(dev) referee_emit(EVENT_INTX, 0, 0, 0)
#define pci_register_bar(dev, number, type, region) ((void)0)
static inline void msi_send_message(PCIDevice *dev, MSIMessage message)
{
    referee_emit(EVENT_MESSAGE, message.address, message.data, !!(dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER));
}

/* Capabilities: given a place they must not overlap, without one they take the first gap. */
static inline bool referee_free(PCIDevice *dev, unsigned at, unsigned size)
{
    return at + size <= sizeof dev->used && !memchr(dev->used + at, 1, size);
}
static inline int pci_add_capability(PCIDevice *dev, uint8_t id, uint8_t at, uint8_t size, void *error)
{
    unsigned place = at;

    if (!place) {
        for (place = 0x40; place < sizeof dev->used && !referee_free(dev, place, size); place++) {
        }
        assert(place < sizeof dev->used);
    } else if (memchr(dev->used + place, 1, size < 256 - place ? size : 256 - place)) {
        return -EINVAL;
    }
    memset(dev->used + place, 1, (size + 3u) & ~3u);
    memset(dev->config + place, 0, size);
    return place;
}
static inline void pci_del_capability(PCIDevice *dev, uint8_t id, uint8_t size)
{
    memset(dev->wmask + dev->msix_cap, 0, size);
    memset(dev->used + dev->msix_cap, 0, (size + 3u) & ~3u);
}

/* Migration: a buffer that is read or written from its start. */
typedef struct {
    uint8_t *at;
    size_t size;
} QEMUFile;
static inline void qemu_put_buffer(QEMUFile *file, const uint8_t *from, size_t size)
{
    memcpy(file->at, from, size);
    file->at += size;
    file->size -= size;
}
static inline void qemu_get_buffer(QEMUFile *file, uint8_t *to, size_t size)
{
    memcpy(to, file->at, size);
    file->at += size;
    file->size -= size;
}
typedef struct VMStateField VMStateField;
typedef struct JSONWriter JSONWriter;
typedef struct JSONWriter QJSON;
typedef struct {
    const char *name;
    int (*get)(QEMUFile *f, void *pv, size_t size, const VMStateField *field);
    int (*put)(QEMUFile *f, void *pv, size_t size, const VMStateField *field, JSONWriter *vmdesc);
} VMStateInfo;
struct VMStateField {
    const char *name;
    int version_id, flags;
    bool (*field_exists)(void *opaque, int version_id);
    size_t size, offset;
    const VMStateInfo *info;
};
typedef struct {
    const char *name;
    const VMStateField *fields;
} VMStateDescription;
enum { VMS_SINGLE = 1 };
#define VMSTATE_END_OF_LIST() { 0 }

/* Xen: a message whose x86 vector is 0 stands for a pirq. */
enum { XEN_DISABLED, XEN_EMULATE, xen_mode = XEN_DISABLED };
#define xen_enabled() referee_xen
#define xen_is_pirq_msi(data) (((data) & 0xff) == 0)
#define xen_evtchn_snoop_msi(dev, is_msix, vector, address, data, is_masked) ((void)0)

/* Small things. */
typedef struct Error Error;
#define error_setg(error, ...) ((void)(error))
#define trace_msix_write_config(...) ((void)0)
#define qemu_log_mask(...) ((void)0)
#define OBJECT(dev) (dev)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define DIV_ROUND_UP(n, unit) (((n) + (unit) - 1) / (unit))
#define QEMU_ALIGN_UP(n, unit) (DIV_ROUND_UP(n, unit) * (unit))
#define ranges_overlap(first, size1, second, size2) \
    ((uint64_t)(first) < (uint64_t)(second) + (size2) && (uint64_t)(second) < (uint64_t)(first) + (size1))
#define range_covers_byte(first, size, byte) ((byte) >= (first) && (byte) < (uint64_t)(first) + (size))
#define g_malloc0(size) calloc(1, (size) ? (size) : 1)
#define g_free(pointer) free(pointer)
#define g_strdup_printf(...) strdup("bar")
static inline uint64_t pow2ceil(uint64_t value)
{
    uint64_t power = 1;

    while (power < value) {
        power *= 2;
    }
    return power;
}

#endif
