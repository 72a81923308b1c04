/* SPDX-License-Identifier: MIT */
/*
 * The inside of an interrupt set. set.c opens, resizes and closes it, arm.c tells the kernel, wait.c
 * waits, thread.c is a thread that waits and calls a function. check.c is what all of them ask first.
 *
 * A vector that leaves the set keeps its eventfd until the set is closed. So a thread that waits without
 * a lock never meets a descriptor that was closed, or that has become another file's.
 *
 * The eventfd blocks until vfc_irq_fd() hands it out, so a wait without a deadline is one plain read().
 * Every other read is told not to block (sys_read_now()).
 */
#ifndef VFC_IRQ_SET_H
#define VFC_IRQ_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <vfiocore/irq.h>

/* All but the descriptor is atomic: waits take no lock. */
struct vector {
	int fd;      /* -1: was never in the set */
	bool member; /* of the set; a resize wakes those who wait for one that goes */
	bool armed;
	bool shared; /* the caller has the descriptor, and it does not block any more */
	bool binding; /* to a virtual machine, just now: who waits for it is woken, and asks again */
	uint32_t sleepers; /* who wait for it alone */
	uint64_t fired, wakeups, spurious;
	struct vfc_kvm *kvm; /* the virtual machine that gets it as interrupt @gsi; NULL: it fires here */
	uint32_t gsi;
};

struct vfc_irq {
	struct vfc_device *device;
	pthread_mutex_t lock; /* to change anything */
	uint32_t index;
	uint32_t flags;    /* enum vfc_irq_flags */
	uint32_t count;    /* vectors of the set; atomic */
	uint32_t opened;   /* vectors that have an eventfd */
	uint32_t capacity; /* of the device, and of @vectors */
	int pid;
	int poll_fd;   /* -1: nobody asked for it; atomic */
	int unmask_fd; /* likewise */
	int thread_fd; /* the epoll instance of its thread; -1: it has none */
	void (*unbind_all)(struct vfc_irq *irq); /* what is above and has bound a vector sets it; or NULL */
	struct vector vectors[];
};

/* Is the set this process's? Has it the vector, too? Does the vector fire here, too? */
int irq_check_process(const struct vfc_irq *irq);
int irq_check(const struct vfc_irq *irq, uint32_t vector);
int irq_check_ours(const struct vfc_irq *irq, uint32_t vector);

/* Vectors @start to @end-1: as they are marked, or off. */
int irq_arm_range(struct vfc_irq *irq, uint32_t start, uint32_t end);
int irq_disarm_range(struct vfc_irq *irq, uint32_t start, uint32_t end);
/* The type as a whole. */
int irq_turn_off(struct vfc_irq *irq);
int irq_unmask(struct vfc_irq *irq);
/* Unless it is there; called with the lock held. */
int irq_open_unmask_fd(struct vfc_irq *irq);

/* A new epoll instance that watches all vectors; called with the lock held. */
int irq_watch_all(struct vfc_irq *irq);
/* 1: consumed, 0: there was nothing, or the vector has left the set. @block: wait for it if it can. */
int irq_consume(struct vfc_irq *irq, uint32_t vector, uint64_t *count, bool block);

#endif
