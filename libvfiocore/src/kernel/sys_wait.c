/* SPDX-License-Identifier: MIT */
/* Waiting: epoll, poll and timers. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "kernel/call.h"
#include "kernel/sys.h"

int sys_epoll(void)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(epoll_create1(EPOLL_CLOEXEC));
}

static int epoll_control(int epoll, int operation, int fd, uint64_t data, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.u64 = data}};

	return CALL(epoll_ctl(epoll, operation, fd, &event));
}

int sys_epoll_add(int epoll, int fd, uint64_t data)
{
	FAIL_ON_DEMAND(-ENOMEM);
	return epoll_control(epoll, EPOLL_CTL_ADD, fd, data, EPOLLIN);
}

void sys_epoll_change(int epoll, int fd, uint64_t data, bool watch)
{
	epoll_control(epoll, EPOLL_CTL_MOD, fd, data, watch ? EPOLLIN : 0);
}

int sys_epoll_queue(int epoll, int fd, uint64_t data)
{
	FAIL_ON_DEMAND(-ENOMEM);
	return epoll_control(epoll, EPOLL_CTL_ADD, fd, data, EPOLLIN | EPOLLONESHOT);
}

void sys_epoll_again(int epoll, int fd, uint64_t data)
{
	epoll_control(epoll, EPOLL_CTL_MOD, fd, data, EPOLLIN | EPOLLONESHOT);
}

void sys_epoll_remove(int epoll, int fd)
{
	epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0);
}

/*
 * epoll_wait() counts in milliseconds, and epoll_pwait2() came with Linux 5.11. So ppoll() waits.
 */
int sys_epoll_wait(int epoll, uint64_t *data, int64_t timeout)
{
	struct pollfd poll = {.fd = epoll, .events = POLLIN};
	struct epoll_event event;
	int rc;

	if (timeout > 0) {
		rc = sys_poll(&poll, 1, timeout);
		if (rc <= 0)
			return rc;
	} else {
		FAIL_ON_DEMAND(-EINTR);
	}
	rc = CALL(epoll_wait(epoll, &event, 1, timeout < 0 ? -1 : 0));
	if (rc > 0)
		*data = event.data.u64;
	return rc;
}

int sys_poll(struct pollfd *fds, nfds_t count, int64_t timeout)
{
	struct timespec ts = {timeout / 1000000000, timeout % 1000000000};

	FAIL_ON_DEMAND(-EINTR);
	return CALL(ppoll(fds, count, timeout < 0 ? NULL : &ts, NULL));
}

int sys_timer(int64_t period)
{
	struct timespec ts = {period / 1000000000, period % 1000000000};
	struct itimerspec times = {ts, ts};
	int fd, rc;

	FAIL_ON_DEMAND(-EMFILE);
	fd = CALL(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (fd < 0)
		return fd;
	rc = CALL(timerfd_settime(fd, 0, &times, NULL));
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	return fd;
}

int sys_timer_clock_set(void)
{
	/* This is in the year 2242, so the timer never expires. */
	struct itimerspec times = {.it_value = {.tv_sec = INT64_C(1) << 33}};
	int fd, rc;

	FAIL_ON_DEMAND(-EMFILE);
	fd = CALL(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
	if (fd < 0)
		return fd;
	rc = CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &times, NULL));
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	return fd;
}
