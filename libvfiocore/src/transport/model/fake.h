/* SPDX-License-Identifier: MIT */
/*
 * The inside of the fake transport: what its files share, and what a device model is built on. From
 * the bottom up, each file knows those before it: state.c; space.c and irq.c; features.c; the
 * models (e1000e.c); fake.c.
 *
 * One mutex orders everything. An address space shares it with those opened beside it. A model's
 * thread holds it for one pass over its rings, and mapping, unmapping, interrupts and config space
 * take it. So the model cannot touch memory after its unmap has returned, and cannot write an
 * eventfd after its vector was disarmed.
 */
#ifndef VFC_TRANSPORT_FAKE_H
#define VFC_TRANSPORT_FAKE_H

#include <pthread.h>
#include <stdbool.h>

#include "transport/transport.h"

#define FAKE_CONFIG_SIZE 4096
#define FAKE_REGIONS 9
#define FAKE_IRQS 5
#define FAKE_VECTORS 8
#define FAKE_AREAS 2
/* Where every model has these capabilities in config space. */
#define FAKE_MSI_CAP 0xd0
#define FAKE_MSIX_CAP 0xa0
#define FAKE_EXPRESS_CAP 0xe0
#define FAKE_POWER_CAP 0xc8
#define FAKE_AER_CAP 0x100
#define FAKE_HIGHEST ((UINT64_C(1) << 39) - 1) /* the last address that the IOMMU translates */
#define FAKE_OFFSET_SHIFT 40 /* a region's opaque offset is its index, shifted by this */

/* Spaces that share one can copy mappings and take each other's devices, as with iommufd. */
struct fake_iommufd {
	pthread_mutex_t lock;
	unsigned spaces;
	bool guarded; /* a device set @token, and devices opened later need it */
	uint8_t token[16];
};

struct fake_space {
	struct transport_space base;
	struct fake_iommufd *iommufd;
	void *mappings; /* of tsearch(): struct fake_mapping by IOVA */
	uint64_t entries, entry_limit;
	uint64_t pinned, memlock_limit;
	uint64_t faults, fault_iova;
	uint64_t highest;      /* the last address that all attached devices can use */
	uint64_t next_highest; /* and the last one for a device that is attached from now on */
	struct fake_device *members; /* the attached devices */
	bool dirty;     /* writes are tracked */
	uint64_t epoch; /* how often tracking was started */
};

/* A region as the model declares it. Length 0: not implemented. */
struct fake_region {
	uint64_t length;
	uint64_t memory; /* its offset in the device's memory file, a multiple of 64 KiB */
	uint32_t flags;  /* VFIO_REGION_INFO_FLAG_* */
	uint32_t area_count; /* with FLAG_CAPS: only these areas can be mapped */
	struct vfio_region_sparse_mmap_area areas[FAKE_AREAS];
};

struct fake_irq {
	int fds[FAKE_VECTORS]; /* -1: not armed */
	uint32_t enabled;      /* how many vectors the type was turned on with */
	bool masked, asserted; /* INTx only; asserted: the line was raised while it was masked */
	int unmask_fd;         /* INTx only: the eventfd that unmasks it; -1: none */
};

struct fake_device;

/* A device model. Its functions are called with the space's lock held. */
struct fake_model {
	const char *name;
	size_t state_size; /* bytes of its private state, which start as zeros */
	uint64_t memory_length;
	struct fake_region regions[FAKE_REGIONS];
	uint32_t vectors[FAKE_IRQS];
	/* Fill in config space, and the bits of it that can be written. */
	void (*config)(uint8_t *config, uint8_t *writable);
	/* Give the registers their values after power-on. */
	void (*reset)(struct fake_device *device);
	/* Follow the registers and the rings for a while. Return: whether there was work. */
	bool (*step)(struct fake_device *device);
};

struct fake_device {
	struct transport_device base;
	const struct fake_model *model;
	struct fake_iommufd *iommufd; /* never changes while the device is open */
	struct fake_space *space;     /* where it is, or was last, attached */
	struct fake_device *next_member;
	uint64_t highest; /* the last address that it can use in @space */
	void *state;
	uint8_t *memory; /* of every region except config space */
	int memory_fd;
	int irq_type; /* which of INTx, MSI and MSI-X is on; -1: none */
	struct fake_irq irqs[FAKE_IRQS];
	uint64_t resets;
	uint64_t dropped;
	uint32_t rx_length;
	bool noresize; /* MSI-X cannot get more vectors while it is on */
	bool attached, link, gone, released, stranger;
	bool low_power;
	int wakeup; /* the eventfd that the first access in low power raises; -1: none */
	bool stop;  /* atomic: the thread shall end */
	pthread_t thread;
	uint8_t config[FAKE_CONFIG_SIZE];
	uint8_t writable[FAKE_CONFIG_SIZE];
};

extern const struct fake_model fake_model_e1000e;

/* state.c: little-endian fields of config space. */
void fake_put16(uint8_t *at, uint16_t value);
void fake_put32(uint8_t *at, uint32_t value);
uint32_t fake_get32(const uint8_t *at);

/* What config space says: may the device do DMA, and does it decode its BARs? */
bool fake_bus_master(const struct fake_device *device);
bool fake_decodes(const struct fake_device *device);

/* Record that @call fails, since the device was given back to the host. Return: -ENODEV. */
int fake_released(const char *call);

/* space.c: the address space. The caller of fake_space_open() fills in space->ops. */
int fake_space_open(struct transport_space *beside, bool dirty, int fd,
		    struct transport_space **space);
void fake_space_close(struct transport_space *space);
int fake_space_info(struct transport_space *space, struct transport_space_info *info);
int fake_map(struct transport_space *space, const struct transport_memory *memory, uint64_t *iova,
	     uint64_t length, uint32_t flags);
int fake_unmap(struct transport_space *space, uint64_t iova, uint64_t length);
bool fake_related(struct transport_space *space, struct transport_space *other);
int fake_reserved(struct transport_space *space, const char *name,
		  struct transport_reserved *ranges, int room);
int fake_dirty_track(struct transport_space *space, bool on);
int fake_dirty_read(struct transport_space *space, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap);

/*
 * Devices in the space. The first two want the lock held. A device that enters leaves the space
 * where it was before; fake_leave() does nothing for a device that is not attached.
 */
int fake_enter(struct fake_device *device, struct fake_space *space);
void fake_leave(struct fake_device *device);
int fake_attach(struct transport_device *device, struct transport_space *space);
int fake_detach(struct transport_device *device);

/*
 * DMA by the device. False: it met a fault, which was counted. fake_dma_store64() stores the last
 * word of a descriptor in one access, which becomes visible after everything that was stored
 * before.
 */
bool fake_dma_read(struct fake_device *device, uint64_t iova, void *data, uint64_t length);
bool fake_dma_write(struct fake_device *device, uint64_t iova, const void *data, uint64_t length);
bool fake_dma_store64(struct fake_device *device, uint64_t iova, uint64_t value);

/* irq.c: interrupts. */
int fake_irq_info(struct transport_device *device, uint32_t index, struct vfio_irq_info *info);
int fake_set_irqs(struct transport_device *device, const struct vfio_irq_set *set);
void fake_irq_forget(struct fake_device *device); /* disarm every vector, leave the type on */
void fake_irq_step(struct fake_device *device);   /* poll the eventfd that unmasks INTx */
void fake_raise_single(struct fake_device *device, uint32_t index); /* ERR or REQ, if armed */
/* Raise a vector of the type that is on. False: the vector is not armed, or masked. */
bool fake_raise(struct fake_device *device, uint32_t vector);
/* Do the same, but a masked INTx line stays asserted and fires when it is unmasked. */
void fake_assert(struct fake_device *device, uint32_t vector);

/* features.c: low power, and the token of virtual functions. */
int fake_feature(struct transport_device *device, uint32_t flags, void *data, size_t length);
/* The device is accessed, which ends low power if it was entered with a wakeup. */
void fake_wake(struct fake_device *device);
int fake_token_check(struct fake_iommufd *iommufd, const char *name, const uint8_t *token);

#endif
