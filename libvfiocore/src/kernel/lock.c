/* SPDX-License-Identifier: MIT */
/* Source: futex(2). What it answers does not matter: each looks at the state again. */
#include "kernel/lock.h"

#include <linux/futex.h>
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
