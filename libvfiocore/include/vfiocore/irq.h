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
 * The set belongs to the process that opened it. An interrupt that a child of fork() consumed would
 * be missing here, so every function answers -ECHILD there, but for vfc_irq_close(), which frees
 * memory only.
 * Errors: -EINVAL (more than the device has), -EBUSY (another set is open), -EMFILE, the kernel's.
 */
VFC_API int vfc_irq_open(struct vfc_device *device, uint32_t index, uint32_t count,
			 struct vfc_irq **irq);

/*
 * vfc_irq_close() - disarm the vectors, turn the type off and close the eventfds. No thread may be
 * waiting.
 * Errors: -EBUSY (a thread serves it).
 */
VFC_API int vfc_irq_close(struct vfc_irq *irq);

/*
 * vfc_irq_resize() - have vectors 0 to @count-1 in the set from now on.
 * New vectors are armed, and those beyond @count are disarmed. Where the kernel cannot add vectors
 * (VFC_IRQ_NORESIZE: always with MSI, with MSI-X before Linux 6.5) all are turned off and on again.
 * Then every armed eventfd is raised once, so that an interrupt which came in between is not
 * missed. A thread that waits for a vector which is removed gets -EINVAL. The vector's eventfd
 * stays open until the set is closed.
 * Errors: those of vfc_irq_open(). The set is then as before. If the kernel refused to turn on
 * again what was turned off, the record's hint says so. Thread-safe, also while others wait.
 */
VFC_API int vfc_irq_resize(struct vfc_irq *irq, uint32_t count);

/*
 * vfc_irq_arm() / vfc_irq_disarm() - arm or disarm one vector of the set. The others do not notice.
 * Interrupts that fired before can still be consumed. The kernel masks INTx when it fires, also
 * while it is disarmed, and tells nobody then: call vfc_irq_unmask() after vfc_irq_arm().
 * Errors: -EINVAL (no such vector), -EALREADY (it is armed, or is not), the kernel's. Thread-safe.
 */
VFC_API int vfc_irq_arm(struct vfc_irq *irq, uint32_t vector);
VFC_API int vfc_irq_disarm(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_fd() - the eventfd of a vector, non-blocking, owned by the set.
 * From then on, a vfc_irq_wait() for this vector without a deadline takes two more system calls.
 * Errors: -EINVAL (no such vector). Thread-safe.
 */
VFC_API int vfc_irq_fd(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_poll_fd() - a descriptor for poll(), epoll and event loops. It is readable while some
 * vector has fired and was not consumed. It is an epoll instance, owned by the set.
 * Errors: -EMFILE. Thread-safe.
 */
VFC_API int vfc_irq_poll_fd(struct vfc_irq *irq);

/*
 * vfc_irq_wait() - wait until a vector fires, and consume what it counted.
 * @timeout: nanoseconds; 0: only look; negative: without end.
 * @count: out, interrupts since the last wait (they are merged, not lost); may be NULL.
 * Nothing is missed between arming and waiting: the eventfd counts from the moment it is armed.
 * Errors: -ETIMEDOUT, -EINTR (a signal came; without a deadline, one whose handler is not
 * SA_RESTART), -EINVAL (no such vector, or a resize removed it meanwhile), -EBUSY (it fires in a
 * virtual machine, or vfc_kvm_bind() took it there meanwhile), -ECHILD.
 * Thread-safe. When several threads wait for one vector, each interrupt is counted for one of them.
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
 * vfc_irq_wait_all() - wait until each of vectors 0 to @count-1 has fired that is armed when it is
 * its turn, and consume what they counted.
 * @counts: in and out, one a vector. Those that are not 0 when it is called have fired already and
 * are left alone, so after -ETIMEDOUT or -EINTR the same array goes on, and nothing is lost.
 * Errors, thread-safety: vfc_irq_wait().
 */
VFC_API int vfc_irq_wait_all(struct vfc_irq *irq, int64_t timeout, uint64_t *counts,
			     uint32_t count);

/* vfc_irq_stats() - what waits of this set have consumed. Errors: -EINVAL. Thread-safe. */
VFC_API int vfc_irq_stats(struct vfc_irq *irq, uint32_t vector, struct vfc_irq_stats *stats);

/*
 * vfc_irq_rearm() - give the kernel the same eventfds again, as after vfc_device_reset(), which may
 * leave the device without interrupts. INTx that was masked stays masked. Errors: the kernel's.
 * Thread-safe.
 */
VFC_API int vfc_irq_rearm(struct vfc_irq *irq);

/*
 * vfc_irq_mask() / vfc_irq_unmask() - keep INTx from firing, and let it fire again. The kernel
 * masks it each time it fires. Errors: -EOPNOTSUPP (MSI and MSI-X are masked in the device's own
 * registers).
 * Thread-safe.
 */
VFC_API int vfc_irq_mask(struct vfc_irq *irq);
VFC_API int vfc_irq_unmask(struct vfc_irq *irq);

/*
 * vfc_irq_unmask_fd() - an eventfd that unmasks INTx when it is written to. Another thread or
 * process may write to it, or KVM, which takes it as the resample descriptor of an irqfd.
 * It is non-blocking and owned by the set. Errors: -EOPNOTSUPP, -EMFILE. Thread-safe.
 * Source: VFIO_IRQ_SET_ACTION_UNMASK.
 */
VFC_API int vfc_irq_unmask_fd(struct vfc_irq *irq);

/*
 * vfc_irq_trigger() - have the kernel raise a vector as if the device had done it, for tests.
 * A vector that is not armed is not raised. INTx is not masked by this, and a mask does not hold it
 * back.
 * Errors: -EINVAL. Thread-safe.
 */
VFC_API int vfc_irq_trigger(struct vfc_irq *irq, uint32_t vector);

/*
 * vfc_irq_thread_start() - start a thread that waits for all vectors of the set, also for those
 * that a resize adds. It calls @call with @argument, the vector and what it counted. A set has one
 * such thread. All signals are blocked in it. @opts: NULL: any CPU, no limit, no unmasking.
 * With a rate, a vector that fires again too soon has to wait for its turn. Meanwhile the eventfd
 * merges what comes, and INTx stays masked by the kernel. So a storm costs no more calls than the
 * rate.
 * Errors: -EINVAL (flags, a CPU where this process may not run), -EOPNOTSUPP (MSI and MSI-X are not
 * unmasked), -EBUSY (there is one), -EMFILE, -EAGAIN (no more threads). Thread-safe.
 */
VFC_API int vfc_irq_thread_start(struct vfc_irq *irq,
				 void (*call)(void *argument, uint32_t vector, uint64_t count),
				 void *argument, const struct vfc_irq_thread_opts *opts,
				 struct vfc_irq_thread **thread);

/*
 * vfc_irq_thread_stop() - end the thread when the call in progress has returned, and free it.
 * In a child of fork() this only frees memory. Errors: -EDEADLK (the thread itself calls it).
 */
VFC_API int vfc_irq_thread_stop(struct vfc_irq_thread *thread);

/* vfc_irq_thread_stats() - what it has done. Errors: -EINVAL. Thread-safe. */
VFC_API int vfc_irq_thread_stats(struct vfc_irq_thread *thread, struct vfc_irq_thread_stats *stats);

VFC_END_DECLS
#endif
