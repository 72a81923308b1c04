/* SPDX-License-Identifier: MIT */
/*
 * A signal handler belongs to the whole process, and so does the state in this file: who opted in,
 * and which handler was there before. The library has no other state of the process.
 */
#include "device/nofault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <ucontext.h>
#include <vfiocore/nofault.h>

#include "device/object.h"
#include "base/error.h"
#include "device/fixup.h"
#include "kernel/sys.h"

/* guards what follows; the handler takes no lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static bool installed; /* we installed the handler and have not put the former one back */
static struct sigaction before;

static _Thread_local unsigned depth;

static bool calls(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO ||
	       (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

/*
 * A fault recurs as soon as the handler returns. The default action then takes place, with the
 * registers of the faulting code in the core dump. A signal that was sent does not recur, so it is
 * raised again.
 */
static void by_default(int number, bool sent)
{
	if (sent && before.sa_handler == SIG_IGN)
		return;
	sys_signal_default(number);
	if (sent)
		sys_signal_raise(number); /* blocked until the handler returns */
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	bool sent = info->si_code <= 0; /* by kill() or raise(), see sigaction(2) */
	struct sigaction next = before;

	if (!sent && fixup(info, context))
		return;
	if (next.sa_flags & SA_RESETHAND)
		before = (struct sigaction){.sa_handler = SIG_DFL};
	if (!calls(&next))
		by_default(number, sent);
	else if (next.sa_flags & SA_SIGINFO)
		next.sa_sigaction(number, info, context);
	else
		next.sa_handler(number);
}

static bool is_ours(const struct sigaction *action)
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_sigbus;
}

/*
 * The former handler may run inside ours, so keep the stack, mask and restarts that it asked for.
 */
static int install(const struct sigaction *now)
{
	struct sigaction action = {.sa_mask = now->sa_mask};

	action.sa_sigaction = on_sigbus;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	if (calls(now))
		action.sa_flags = SA_SIGINFO | (now->sa_flags & (SA_ONSTACK | SA_NODEFER | SA_RESTART));
	before = *now;
	return sys_sigaction(SIGBUS, &action, NULL);
}

/*
 * If our handler was never removed and another one is on top now, that one was installed later. It
 * calls ours if it passes signals on. Installing ours on top of it again would let the two call
 * each other in a circle.
 */
static int add_user(void)
{
	struct sigaction now;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (users == 0)
		rc = sys_sigaction(SIGBUS, NULL, &now);
	if (users == 0 && rc == 0 && !is_ours(&now) && !(installed && calls(&now)))
		rc = install(&now);
	if (rc == 0) {
		installed = true;
		users++;
	}
	pthread_mutex_unlock(&lock);
	return rc < 0 ? vfc_fail(rc, VFC_REASON_NONE, WHERE("sigaction"),
				 "the handler of SIGBUS cannot be installed")
		      : 0;
}

static void remove_user(void)
{
	struct sigaction now;

	pthread_mutex_lock(&lock);
	if (--users == 0 && sys_sigaction(SIGBUS, NULL, &now) == 0 && is_ours(&now))
		installed = sys_sigaction(SIGBUS, &before, NULL) < 0;
	pthread_mutex_unlock(&lock);
}

int vfc_nofault_begin(void)
{
	int rc = add_user();

	if (rc == 0)
		depth++;
	return vfc_done(rc);
}

int vfc_nofault_end(void)
{
	if (!depth)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, NOWHERE,
					 "this thread has not called vfc_nofault_begin()"));
	depth--;
	remove_user();
	return 0;
}

static int add_device(struct vfc_device *device)
{
	int rc = 0;

	pthread_mutex_lock(&device->lock);
	if (!__atomic_load_n(&device->nofault, __ATOMIC_RELAXED))
		rc = add_user();
	if (rc == 0)
		__atomic_store_n(&device->nofault, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&device->lock);
	return rc;
}

int vfc_nofault_device(struct vfc_device *device)
{
	return vfc_done(add_device(device));
}

void nofault_forget(struct vfc_device *device)
{
	if (__atomic_load_n(&device->nofault, __ATOMIC_RELAXED))
		remove_user();
}

bool nofault_wanted(struct vfc_device *device)
{
	return __atomic_load_n(&device->nofault, __ATOMIC_RELAXED) || depth;
}

int nofault_load(const volatile void *address, uint32_t width, uint64_t *value)
{
	struct fixup result = width == 1   ? vfc_fixup_load1(address)
			      : width == 2 ? vfc_fixup_load2(address)
			      : width == 4 ? vfc_fixup_load4(address)
					   : vfc_fixup_load8(address);

	*value = result.value;
	return result.failed ? -EFAULT : 0;
}

int nofault_store(volatile void *address, uint32_t width, uint64_t value)
{
	struct fixup result = width == 1   ? vfc_fixup_store1(address, value)
			      : width == 2 ? vfc_fixup_store2(address, value)
			      : width == 4 ? vfc_fixup_store4(address, value)
					   : vfc_fixup_store8(address, value);

	return result.failed ? -EFAULT : 0;
}
