/* SPDX-License-Identifier: MIT */
/* An interrupt set: INTx, MSI or MSI-X vectors of a device, each delivered to an eventfd. */
#ifndef VFIOCORE_IRQ_H
#define VFIOCORE_IRQ_H

#include "abi.h"
#include "device.h"

struct vfc_irq;
struct vfc_irq_thread;

/* Indices of a PCI device's interrupt types (linux/vfio.h). */
enum vfc_irq_index {
	VFC_IRQ_INTX = 0,
	VFC_IRQ_MSI = 1,
	VFC_IRQ_MSIX = 2,
	VFC_IRQ_ERR = 3,
	VFC_IRQ_REQ = 4,
};

enum vfc_irq_flags {
	VFC_IRQ_EVENTFD = 1 << 0,
	VFC_IRQ_MASKABLE = 1 << 1,
	VFC_IRQ_AUTOMASKED = 1 << 2, /* masked by the kernel each time it fires */
	VFC_IRQ_NORESIZE = 1 << 3,
};

struct vfc_irq_info {
	uint32_t size; /* in: sizeof(struct vfc_irq_info) */
	uint32_t index;
	uint32_t flags; /* enum vfc_irq_flags */
	uint32_t count; /* vectors; 0: the device has none of this type */
	char name[VFC_NAME]; /* "msix", "io"; of a device tree; else "irq 9" */
};

struct vfc_irq_stats {
	uint32_t size; /* in: sizeof(struct vfc_irq_stats) */
	uint32_t armed; /* 1: the vector is armed */
	uint64_t fired;    /* interrupts that waits have consumed */
	uint64_t wakeups;  /* waits that consumed any: fired - wakeups were merged by the eventfd */
	uint64_t spurious; /* waits that were woken and found that another had consumed it */
};

enum vfc_irq_thread_flags {
	VFC_IRQ_THREAD_PIN = 1 << 0,    /* run on opts->cpu only */
	VFC_IRQ_THREAD_UNMASK = 1 << 1, /* INTx: unmask it after each call */
};

struct vfc_irq_thread_opts {
	uint32_t size;  /* sizeof(struct vfc_irq_thread_opts) */
	uint32_t flags; /* enum vfc_irq_thread_flags */
	uint32_t cpu;   /* with VFC_IRQ_THREAD_PIN */
	uint32_t rate;  /* calls a second for one vector, at most; 0: no limit */
};

struct vfc_irq_thread_stats {
	uint32_t size; /* in: sizeof(struct vfc_irq_thread_stats) */
	int32_t error; /* the latest failure to read or to unmask, as -errno; 0: none */
	uint64_t calls;
	uint64_t throttled; /* times that a vector fired and had to wait for its turn */
};

VFC_BEGIN_DECLS

/* vfc_irq_info() - what the device offers of one type. Errors: -EINVAL (no such index). */
VFC_API int vfc_irq_info(struct vfc_device *device, uint32_t index, struct vfc_irq_info *info);

/*
 * vfc_irq_find() - the index of the interrupt type of that name, as vfc_irq_info() tells names.
 * Letters in either case. Errors: -ENOENT (the hint has the names). Thread-safe.
 */
VFC_API int vfc_irq_find(struct vfc_device *device, const char *name);

/*
 * vfc_irq_open() - arm vectors 0 to @count-1 of one type.
 * A PCI device has one of INTx, MSI and MSI-X armed at a time. MSI and MSI-X messages are writes by
 * the device: they need vfc_device_bus_master().
 * The set belongs to the process that opened it: a child of fork() gets -ECHILD of every function
 * but vfc_irq_close(), which then only frees memory, since what it consumed would be missing here.
 * Errors: -EINVAL (more than the device has), -EBUSY (another set is open), -EMFILE, the kernel's.
 */
VFC_API int vfc_irq_open(struct vfc_device *device, uint32_t index, uint32_t count,
			 struct vfc_irq **irq);

/*
 * vfc_irq_close() - disarm, turn the type off, close the eventfds. Nobody may wait meanwhile.
 * Errors: -EBUSY (a thread serves it).
 */
VFC_API int vfc_irq_close(struct vfc_irq *irq);

/*
 * vfc_irq_resize() - the set has vectors 0 to @count-1 from now on: new ones are armed, those that
 * are left over disarmed. Where the kernel cannot add vectors (VFC_IRQ_NORESIZE: always with MSI,
 * with MSI-X before Linux 6.5) all are turned off and on again; then every armed eventfd is raised
 * once, so that an interrupt which came between is not missed.
 * Who waits for a vector that goes gets -EINVAL; its eventfd stays open until the set is closed.
 * Errors: those of vfc_irq_open(); the set is as before, or, where the kernel did not take back what
 * it had been made to turn off, the record's hint says so. Thread-safe, also while others wait.
 */
VFC_API int vfc_irq_resize(struct vfc_irq *irq, uint32_t count);

/*
 * vfc_irq_arm() / vfc_irq_disarm() - one vector of the set, which others of it do not notice.
 * What fired before stays to be consumed. INTx that fired while it was disarmed is masked, and nobody
 * was told: vfc_irq_unmask() after vfc_irq_arm().
 * Errors: -EINVAL (no such vector), -EALREADY (it is armed, or is not), the kernel's. Thread-safe.
 */
VFC_API int vfc_irq_arm(struct vfc_irq *irq, uint32_t vector);
VFC_API int vfc_irq_disarm(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_fd() - the eventfd of a vector, non-blocking, owned by the set. From then on vfc_irq_wait()
 * for it without a deadline takes two system calls more. Errors: -EINVAL (no such vector). Thread-safe.
 */
VFC_API int vfc_irq_fd(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_poll_fd() - a descriptor that can be read from while any vector has fired and was not
 * waited for: for poll(), epoll and event loops. It is an epoll instance, owned by the set.
 * Errors: -EMFILE. Thread-safe.
 */
VFC_API int vfc_irq_poll_fd(struct vfc_irq *irq);

/*
 * vfc_irq_wait() - wait until a vector fires, and consume what it counted.
 * @timeout: nanoseconds; 0: only look; negative: without end.
 * @count: out, interrupts since the last wait (they are merged, not lost); may be NULL.
 * Nothing is missed between arming and waiting: the eventfd counts from the moment it is armed.
 * Errors: -ETIMEDOUT, -EINTR (a signal came; without a deadline, one whose handler is not SA_RESTART),
 * -EINVAL (no such vector, also when a resize takes it away meanwhile), -EBUSY (it fires in a virtual
 * machine, also when vfc_kvm_bind() takes it there meanwhile), -ECHILD. Thread-safe: each interrupt counts for one of those who wait.
 */
VFC_API int vfc_irq_wait(struct vfc_irq *irq, uint32_t vector, int64_t timeout, uint64_t *count);

/*
 * vfc_irq_take() - consume what a vector has counted, without waiting: for event loops.
 * Return: interrupts, 0: none. Errors: -EINVAL (no such vector), -ECHILD. Thread-safe.
 */
VFC_API int64_t vfc_irq_take(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_wait_any() - wait until some vector fires, and consume what it counted.
 * @vector: out. Vectors that fire all the time take turns. Errors, thread-safety: vfc_irq_wait().
 */
VFC_API int vfc_irq_wait_any(struct vfc_irq *irq, int64_t timeout, uint32_t *vector,
			     uint64_t *count);

/*
 * vfc_irq_wait_all() - wait until each of vectors 0 to @count-1 has fired that is armed when it is its
 * turn, and consume what they counted.
 * @counts: in and out, one a vector. Those that are not 0 when it is called have fired already and
 * are left alone, so after -ETIMEDOUT or -EINTR the same array goes on, and nothing is lost.
 * Errors, thread-safety: vfc_irq_wait().
 */
VFC_API int vfc_irq_wait_all(struct vfc_irq *irq, int64_t timeout, uint64_t *counts,
			     uint32_t count);

/* vfc_irq_stats() - what waits of this set have consumed. Errors: -EINVAL. Thread-safe. */
VFC_API int vfc_irq_stats(struct vfc_irq *irq, uint32_t vector, struct vfc_irq_stats *stats);

/*
 * vfc_irq_rearm() - tell the kernel all of it again, the same eventfds: after vfc_device_reset(), say,
 * which may leave it without. INTx that was masked stays so. Errors: the kernel's. Thread-safe.
 */
VFC_API int vfc_irq_rearm(struct vfc_irq *irq);

/*
 * vfc_irq_mask() / vfc_irq_unmask() - keep INTx from firing, and let it fire again. The kernel masks
 * it each time it fires. Errors: -EOPNOTSUPP (MSI and MSI-X are masked in the device's own registers).
 * Thread-safe.
 */
VFC_API int vfc_irq_mask(struct vfc_irq *irq);
VFC_API int vfc_irq_unmask(struct vfc_irq *irq);

/*
 * vfc_irq_unmask_fd() - an eventfd that unmasks INTx when it is written to, by another thread, process
 * or KVM (as the resample descriptor of an irqfd), without a system call on the device.
 * Non-blocking, owned by the set. Errors: -EOPNOTSUPP, -EMFILE. Thread-safe. Source: VFIO_IRQ_SET_ACTION_UNMASK.
 */
VFC_API int vfc_irq_unmask_fd(struct vfc_irq *irq);

/*
 * vfc_irq_trigger() - have the kernel raise a vector, as if the device had, for tests: nothing when it
 * is not armed; INTx is neither masked by it nor kept back by a mask. Errors: -EINVAL. Thread-safe.
 */
VFC_API int vfc_irq_trigger(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_thread_start() - a thread that waits for any vector of the set, also for those that a resize
 * adds, and has @call called with @argument, the vector and what it counted. One a set.
 * All signals are blocked in it. @opts: NULL: any CPU, no limit, no unmasking.
 * With a rate, a vector that fires again too soon is left alone until its turn comes: the eventfd
 * merges meanwhile, and INTx, which the kernel has masked, stays so. A storm costs that many calls.
 * Errors: -EINVAL (flags, a CPU where this process may not run), -EOPNOTSUPP (MSI and MSI-X are not
 * unmasked), -EBUSY (there is one), -EMFILE, -EAGAIN (no more threads). Thread-safe.
 */
VFC_API int vfc_irq_thread_start(struct vfc_irq *irq,
				 void (*call)(void *argument, uint32_t vector, uint64_t count),
				 void *argument, const struct vfc_irq_thread_opts *opts,
				 struct vfc_irq_thread **thread);

/*
 * vfc_irq_thread_stop() - let the call in progress end, and the thread; free it. A child of fork()
 * only frees memory. Errors: -EDEADLK (called by that very thread).
 */
VFC_API int vfc_irq_thread_stop(struct vfc_irq_thread *thread);

/* vfc_irq_thread_stats() - what it has done. Errors: -EINVAL. Thread-safe. */
VFC_API int vfc_irq_thread_stats(struct vfc_irq_thread *thread, struct vfc_irq_thread_stats *stats);

VFC_END_DECLS
#endif
