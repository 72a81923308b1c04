/* SPDX-License-Identifier: MIT */
/*
 * The inside of an interrupt set. set.c opens, resizes and closes it. arm.c talks to the kernel.
 * wait.c waits, and thread.c runs a thread that waits and calls a function. check.c has the checks
 * that all of them make first.
 *
 * A vector that leaves the set keeps its eventfd until the set is closed. A thread that waits
 * without a lock therefore never meets a descriptor that was closed, or that has become another
 * file's.
 *
 * The eventfd blocks until vfc_irq_fd() hands it out, so a wait without a deadline is one plain
 * read(). Every other read is told not to block (sys_read_now()).
 */
#ifndef VFC_IRQ_SET_H
#define VFC_IRQ_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <vfiocore/irq.h>

/* Everything but the descriptor is atomic, because waits take no lock. */
struct vector {
	int fd;      /* -1: the vector was never in the set */
	bool member; /* it is in the set; a resize wakes the waiters of one that leaves */
	bool armed;
	bool shared; /* the caller has the descriptor, and it no longer blocks */
	bool binding; /* being bound to a virtual machine; waiters wake and look again */
	uint32_t sleepers; /* threads that wait for this vector alone */
	uint64_t fired, wakeups, spurious;
	struct vfc_kvm *kvm; /* the virtual machine that gets it as @gsi; NULL: it fires here */
	uint32_t gsi;
};

struct vfc_irq {
	struct vfc_device *device;
	pthread_mutex_t lock; /* held to change anything */
	uint32_t index;
	uint32_t flags;    /* enum vfc_irq_flags */
	uint32_t count;    /* atomic: vectors in the set */
	uint32_t opened;   /* vectors that have an eventfd */
	uint32_t capacity; /* vectors of the device, and the length of @vectors */
	int pid;
	int poll_fd;   /* atomic; -1: nobody has asked for it */
	int unmask_fd; /* -1: nobody has asked for it */
	int thread_fd; /* the epoll instance of its thread; -1: it has none */
	void (*unbind_all)(struct vfc_irq *irq); /* set by the layer that binds vectors; or NULL */
	struct vector vectors[];
};

/*
 * 0, or a negative errno with a record. The first checks that the set is this process's. The second
 * also checks that the set has the vector, the third also that the vector fires here.
 */
int irq_check_process(const struct vfc_irq *irq);
int irq_check(const struct vfc_irq *irq, uint32_t vector);
int irq_check_ours(const struct vfc_irq *irq, uint32_t vector);

/* Arm the vectors from @start to @end-1 that are marked as armed, or disarm all of them. */
int irq_arm_range(struct vfc_irq *irq, uint32_t start, uint32_t end);
int irq_disarm_range(struct vfc_irq *irq, uint32_t start, uint32_t end);
/* Turn the whole interrupt type off. */
int irq_turn_off(struct vfc_irq *irq);
int irq_unmask(struct vfc_irq *irq);
/* Make irq->unmask_fd unless it exists. The caller holds the lock. */
int irq_open_unmask_fd(struct vfc_irq *irq);

/* Return a new epoll instance that watches all vectors. The caller holds the lock. */
int irq_watch_all(struct vfc_irq *irq);
/*
 * Return: 1: an interrupt was consumed; 0: there was none, or the vector has left the set. With
 * @block the call waits for one if the eventfd blocks.
 */
int irq_consume(struct vfc_irq *irq, uint32_t vector, uint64_t *count, bool block);

#endif
