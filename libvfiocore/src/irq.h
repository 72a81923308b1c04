/* SPDX-License-Identifier: MIT */
/* The inside of an interrupt set: src/irq.c changes it, src/irq_wait.c waits for it. */
#ifndef VFC_IRQ_SET_H
#define VFC_IRQ_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <vfiocore/irq.h>

/* Its fields but the descriptor are atomic: waits take no lock. */
struct vector {
	int fd; /* -1: never armed */
	bool armed;
	uint64_t fired, wakeups, spurious;
};

struct vfc_irq {
	struct vfc_device *device;
	pthread_mutex_t lock; /* to change anything */
	uint32_t index;
	uint32_t flags;    /* enum vfc_irq_flags */
	uint32_t count;    /* vectors of the set; atomic */
	uint32_t capacity; /* of the device, and of @vectors */
	int pid;
	int poll_fd;   /* -1: nobody asked for it */
	int unmask_fd; /* likewise */
	struct vector vectors[];
};

/* Is it this process's, and does it have the vector? */
int irq_check(const struct vfc_irq *irq, uint32_t vector);
int irq_check_process(const struct vfc_irq *irq);

#endif
