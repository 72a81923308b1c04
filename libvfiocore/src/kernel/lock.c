/* SPDX-License-Identifier: MIT */
/* Source: futex(2). Its result does not matter, because every caller looks at the state again. */
#include "kernel/lock.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/call.h"

static void futex(struct lock *lock, int operation, uint32_t value)
{
	CALL(syscall(SYS_futex, &lock->state, operation | FUTEX_PRIVATE_FLAG, value, NULL));
}

void lock_wait(struct lock *lock)
{
	while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE))
		futex(lock, FUTEX_WAIT, 2);
}

void lock_wake(struct lock *lock)
{
	futex(lock, FUTEX_WAKE, 1);
}

#ifdef VFC_FAULT_INJECTION
#define HELD_MAX 3

static __thread const struct lock *held[HELD_MAX]; /* in the order in which they were taken */
static __thread unsigned held_count;

void lock_check_take(const struct lock *lock)
{
	if (held_count == HELD_MAX || (held_count && held[held_count - 1] >= lock)) {
		fprintf(stderr, "lock %p is taken while this thread holds %p\n", (const void *)lock,
			(const void *)held[held_count - 1]);
		abort();
	}
	held[held_count++] = lock;
}

void lock_check_give(const struct lock *lock)
{
	unsigned i = 0;

	while (i < held_count && held[i] != lock)
		i++;
	if (i == held_count) {
		fprintf(stderr, "lock %p is given by a thread that does not hold it\n",
			(const void *)lock);
		abort();
	}
	for (held_count--; i < held_count; i++)
		held[i] = held[i + 1];
}
#endif
