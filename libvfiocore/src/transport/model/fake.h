/* SPDX-License-Identifier: MIT */
/*
 * The fake transport's insides: what its files share, and what a device model builds on.
 *
 * One mutex, of the address space and those opened beside it, orders everything: a model's thread
 * holds it for one pass over its rings, and map, unmap, interrupts and config space take it. So when
 * unmap has returned, the model cannot touch the memory any more, and when a vector is disarmed,
 * its eventfd is not written any more.
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
#define FAKE_MSI_CAP 0xd0 /* where every model has these in config space */
#define FAKE_MSIX_CAP 0xa0
#define FAKE_EXPRESS_CAP 0xe0
#define FAKE_POWER_CAP 0xc8
#define FAKE_AER_CAP 0x100
#define FAKE_HIGHEST ((UINT64_C(1) << 39) - 1) /* that the IOMMU translates */
#define FAKE_OFFSET_SHIFT 40 /* a region's opaque offset is its index shifted by this */

/* What an iommufd is to real spaces: those that share it can copy, and take each other's devices. */
struct fake_iommufd {
	pthread_mutex_t lock;
	unsigned spaces;
	bool guarded; /* a device set a token, which opens those that come later */
	uint8_t token[16];
};

struct fake_space {
	struct transport_space base;
	struct fake_iommufd *iommufd;
	void *mappings; /* of tsearch(): struct fake_mapping by IOVA */
	uint64_t entries, entry_limit;
	uint64_t pinned, memlock_limit;
	uint64_t faults, fault_iova;
	uint64_t highest;      /* that devices can use, */
	uint64_t next_highest; /* and those that are attached from now on */
	struct fake_device *members; /* that are attached */
	bool dirty; /* writes are noted, */
	uint64_t epoch; /* for the so-many-eth time */
};

/* A region as the model declares it. Length 0: not implemented. */
struct fake_region {
	uint64_t length;
	uint64_t memory; /* where it is in the device's memory file, a multiple of 64 KiB */
	uint32_t flags;  /* VFIO_REGION_INFO_FLAG_* */
	uint32_t area_count; /* with FLAG_CAPS: only these can be mapped */
	struct vfio_region_sparse_mmap_area areas[FAKE_AREAS];
};

struct fake_irq {
	int fds[FAKE_VECTORS]; /* -1: not armed */
	uint32_t enabled;      /* vectors that the kernel got when the type was turned on */
	bool masked, asserted; /* INTx only; asserted: the line was raised while it was masked */
	int unmask_fd;         /* likewise; -1: none */
};

struct fake_device;

/* A device model. All of it is called with the space's lock held. */
struct fake_model {
	const char *name;
	size_t state_size; /* of its private state, zeroed at the start */
	uint64_t memory_length;
	struct fake_region regions[FAKE_REGIONS];
	uint32_t vectors[FAKE_IRQS];
	/* Fill in config space and which bits of it can be written. */
	void (*config)(uint8_t *config, uint8_t *writable);
	/* Power-on state of the registers. */
	void (*reset)(struct fake_device *device);
	/* Follow the registers and rings for a while. Return: whether there was work. */
	bool (*step)(struct fake_device *device);
};

struct fake_device {
	struct transport_device base;
	const struct fake_model *model;
	struct fake_iommufd *iommufd; /* the same for as long as it is open */
	struct fake_space *space;     /* that it is or was attached to */
	struct fake_device *next_member;
	uint64_t highest; /* of the addresses that it can use where it is attached */
	void *state;
	uint8_t *memory; /* of all regions but config space */
	int memory_fd;
	int irq_type; /* which of INTx, MSI and MSI-X is on; -1: none */
	struct fake_irq irqs[FAKE_IRQS];
	uint64_t resets;
	uint64_t dropped;
	uint32_t rx_length;
	bool noresize; /* MSI-X cannot grow while it is on */
	bool attached, link, gone, released, stranger;
	bool low_power;
	int wakeup; /* eventfd that low power ends with at the first access; -1: none */
	bool stop; /* atomic: the thread is to end */
	pthread_t thread;
	uint8_t config[FAKE_CONFIG_SIZE];
	uint8_t writable[FAKE_CONFIG_SIZE];
};

extern const struct fake_model fake_model_e1000e;

/* The address space, fake_space.c. */
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
bool fake_mapped(struct fake_space *space, uint64_t iova, uint64_t last); /* some of it */
int fake_dirty_track(struct transport_space *space, bool on);
int fake_dirty_read(struct transport_space *space, uint64_t iova, uint64_t length, uint64_t page,
		    uint64_t *bitmap);

/* Devices in it, fake_attach.c. With the lock held: it comes, from where it was, or leaves, if it is attached. */
int fake_enter(struct fake_device *device, struct fake_space *space);
void fake_leave(struct fake_device *device);
int fake_attach(struct transport_device *device, struct transport_space *space);
int fake_detach(struct transport_device *device);

/*
 * What a device does to memory: false is a fault, which was counted. A descriptor's last word is
 * stored at once, after all that was stored before.
 */
bool fake_dma_read(struct fake_device *device, uint64_t iova, void *data, uint64_t length);
bool fake_dma_write(struct fake_device *device, uint64_t iova, const void *data, uint64_t length);
bool fake_dma_store64(struct fake_device *device, uint64_t iova, uint64_t value);

/* Interrupts, fake_irq.c. */
int fake_irq_info(struct transport_device *device, uint32_t index, struct vfio_irq_info *info);
int fake_set_irqs(struct transport_device *device, const struct vfio_irq_set *set);
void fake_irq_forget(struct fake_device *device); /* disarm every vector, keep the types */
void fake_irq_step(struct fake_device *device);   /* look at the eventfd that unmasks INTx */
void fake_raise_single(struct fake_device *device, uint32_t index); /* ERR and REQ, if armed */
/* The device raises a vector of the type that is on. false: nothing is armed, or it is masked. */
bool fake_raise(struct fake_device *device, uint32_t vector);
/* Likewise, but a line that is masked stays up until it is not. */
void fake_assert(struct fake_device *device, uint32_t vector);

/* Power, fake_power.c. */
int fake_feature(struct transport_device *device, uint32_t flags, void *data, size_t length);
bool fake_awake(const struct fake_device *device);
void fake_wake(struct fake_device *device); /* somebody accesses it */

/* Tokens, fake_token.c; the one that sets wants the lock held. */
int fake_token_set(struct fake_iommufd *iommufd, const void *token, size_t length);
int fake_token_check(struct fake_iommufd *iommufd, const char *name, const uint8_t *token);

/* The failure of a call on a device that was let go of. */
int fake_released(const char *call);

/* PCI Command register. */
bool fake_bus_master(const struct fake_device *device);
bool fake_decodes(const struct fake_device *device);

/* Little-endian fields of config space. */
void fake_put16(uint8_t *at, uint16_t value);
void fake_put32(uint8_t *at, uint32_t value);
uint32_t fake_get32(const uint8_t *at);

#endif
