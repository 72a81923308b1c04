/* SPDX-License-Identifier: MIT */
/*
 * A mutex that costs two atomic instructions while nobody waits. The C library's costs four calls,
 * which were a fifth of what the library added to a mapping.
 */
#ifndef VFC_KERNEL_LOCK_H
#define VFC_KERNEL_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lock {
	uint32_t state; /* 0: free, 1: taken, 2: taken, and somebody may wait; zeroed is free */
};

void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	uint32_t is = 0;

	if (!__atomic_compare_exchange_n(&lock->state, &is, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		lock_wait(lock);
}

static inline void lock_give(struct lock *lock)
{
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2)
		lock_wake(lock);
}

#endif
