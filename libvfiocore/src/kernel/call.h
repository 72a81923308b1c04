/* SPDX-License-Identifier: MIT */
/* How every system call is made: errno is left alone, and tests can make the call fail. */
#ifndef VFC_KERNEL_CALL_H
#define VFC_KERNEL_CALL_H

#include <errno.h>
#include <stdbool.h>

#ifdef VFC_FAULT_INJECTION
bool sys_fault(void); /* is it this call's turn to fail? */
#define FAIL_ON_DEMAND(error) \
	do {                  \
		if (sys_fault()) \
			return (error); \
	} while (0)
#else
#define FAIL_ON_DEMAND(error) \
	do {                  \
	} while (0)
#endif

/* errno belongs to our caller, so whatever a system call does to it is undone. */
#define CALL(expression)                        \
	__extension__({                         \
		int saved_ = errno;             \
		__typeof__(expression) result_; \
		result_ = (expression);         \
		if (result_ < 0) {              \
			result_ = -errno;       \
			errno = saved_;         \
		}                               \
		result_;                        \
	})

#endif
