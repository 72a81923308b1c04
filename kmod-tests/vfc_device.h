/* SPDX-License-Identifier: GPL-2.0-only */
/* vfc_device: what its files share. vfc_mdev.c says what the module is. */
#ifndef VFC_DEVICE_H
#define VFC_DEVICE_H

#include <linux/eventfd.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/version.h>
#include <linux/vfio.h>

/* A region's number is in the upper bits of its offset on the descriptor. */
#define REGION_SHIFT 32
#define REGION_OFFSET(index) ((u64)(index) << REGION_SHIFT)

#define AREAS 2

struct region_spec {
	u64 size;
	u32 flags; /* VFIO_REGION_INFO_FLAG_* */
	u32 type, subtype;
	u32 nr_areas;
	struct vfio_region_sparse_mmap_area areas[AREAS]; /* with MMAP; nr_areas 0: all of it */
};

struct irq_spec {
	u32 count; /* 0: the kernel's interface says EINVAL */
	u32 flags; /* VFIO_IRQ_INFO_* */
};

struct personality {
	u32 device_flags; /* VFIO_DEVICE_FLAGS_* */
	const struct region_spec *regions;
	u32 nr_regions;
	const struct irq_spec *irqs;
	u32 nr_irqs;
	int request; /* index by which the host says that it wants the device back; -1: none */
};

/* Registers of region 0: 32 bits, little-endian. All personalities have them all. */
enum {
	REG_ID = 0x00,	    /* "VFCD" */
	REG_INDEX = 0x04,   /* the interrupt type that the next three are about */
	REG_FIRST = 0x08,   /* the first vector */
	REG_RAISE = 0x0c,   /* write n: n vectors from the first one, each once */
	REG_STORM = 0x10,   /* write n: the first one n times */
	REG_LEVEL = 0x14,   /* write n: n more events wait behind the level; read: how many */
	REG_ACK = 0x18,	    /* write: one of them was handled */
	REG_RAISED = 0x1c,  /* read: signals that found an eventfd */
	REG_SRC = 0x20,	    /* 64 bits: IOVA */
	REG_DST = 0x28,	    /* 64 bits: IOVA */
	REG_LENGTH = 0x30,  /* bytes; of pinned memory: whole pages */
	REG_COMMAND = 0x34, /* enum dma_command */
	REG_RESULT = 0x38,  /* of the last command: 0, or the errno */
	REG_PINNED = 0x3c,  /* pages that are pinned now */
	REG_UNMAPS = 0x40,  /* how often we were told that IOVAs go */
	REG_WORDS = 0x11,
};

enum dma_command {
	DMA_COPY = 1,	     /* the kernel copies from SRC to DST */
	DMA_PINNED_COPY = 2, /* likewise, through pages that are pinned for as long as it takes */
	DMA_PIN = 3,	     /* pin DST and keep it so */
	DMA_UNPIN = 4,
};

#define DEVICE_ID 0x44434656
#define LEVEL_INDEX 1
#define PINS_MAX 64

struct irq {
	struct eventfd_ctx **triggers; /* one a vector */
	bool masked;
};

struct vfc {
	struct vfio_device vdev;
	const struct personality *personality;
	struct mutex lock; /* registers and interrupts */
	u32 registers[REG_WORDS];
	void **memory; /* of each region but the registers */
	struct irq *irqs;
	struct mutex pins_lock; /* may be taken in dma_unmap(), and then no other */
	u64 pinned_at[PINS_MAX];
	u32 pinned;
	u32 unmaps;
};

/* vfc_regions.c */
#define MANY_REGIONS 12
extern const struct region_spec many_regions[MANY_REGIONS];
extern const struct region_spec registers_only[1];
int regions_init(struct vfc *vfc);
void regions_free(struct vfc *vfc);
ssize_t regions_rw(struct vfc *vfc, char __user *user, size_t count, loff_t *position, bool write);
int regions_mmap(struct vfc *vfc, struct vm_area_struct *vma);
int regions_info(struct vfc *vfc, struct vfio_region_info *info, struct vfio_info_cap *caps);
long regions_info_ioctl(struct vfc *vfc, unsigned long arg);

/* vfc_irqs.c */
int irqs_open(struct vfc *vfc);
void irqs_close(struct vfc *vfc);
void irqs_raise(struct vfc *vfc, u32 index, u32 first, u32 count);
void irqs_level(struct vfc *vfc);
long irqs_info(struct vfc *vfc, unsigned long arg);
long irqs_set(struct vfc *vfc, unsigned long arg);

/* vfc_dma.c */
int dma_command(struct vfc *vfc, u32 command);
void dma_unpin(struct vfc *vfc, u64 iova, u64 length);

#endif
