/* SPDX-License-Identifier: MIT */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifdef VFC_FAULT_INJECTION
static unsigned fault_countdown;
static unsigned fault_calls;

void sys_fault_arm(unsigned n)
{
	__atomic_store_n(&fault_calls, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fault_countdown, n, __ATOMIC_RELAXED);
}

unsigned sys_fault_count(void)
{
	return __atomic_load_n(&fault_calls, __ATOMIC_RELAXED);
}

static bool fault(void)
{
	unsigned calls = __atomic_add_fetch(&fault_calls, 1, __ATOMIC_RELAXED);

	return calls == __atomic_load_n(&fault_countdown, __ATOMIC_RELAXED);
}
#define FAIL_ON_DEMAND(error) \
	do {                  \
		if (fault())  \
			return (error); \
	} while (0)
#else
#define FAIL_ON_DEMAND(error) \
	do {                  \
	} while (0)
#endif

/* errno belongs to our caller: whatever a system call does to it is undone. */
#define CALL(expression)                        \
	__extension__({                         \
		int saved_ = errno;             \
		__typeof__(expression) result_; \
		result_ = (expression);         \
		if (result_ < 0)                \
			result_ = -errno;       \
		errno = saved_;                 \
		result_;                        \
	})

int sys_open(const char *path, int flags)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(open(path, flags | O_CLOEXEC));
}

int sys_create(const char *path, mode_t mode)
{
	FAIL_ON_DEMAND(-ENOSPC);
	return CALL(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
}

void sys_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

int sys_ioctl(int fd, unsigned long request, void *argument)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(ioctl(fd, request, argument));
}

int sys_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(ioctl(fd, request, value));
}

ssize_t sys_pread(int fd, void *data, size_t length, uint64_t position)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(pread(fd, data, length, (off_t)position));
}

ssize_t sys_pwrite(int fd, const void *data, size_t length, uint64_t position)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(pwrite(fd, data, length, (off_t)position));
}

ssize_t sys_read(int fd, void *data, size_t length)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(read(fd, data, length));
}

ssize_t sys_write(int fd, const void *data, size_t length)
{
	FAIL_ON_DEMAND(-ENOSPC);
	return CALL(write(fd, data, length));
}

int sys_mmap(size_t length, int protection, int flags, int fd, uint64_t position, void **address)
{
	int saved = errno, rc = 0;
	void *p;

	FAIL_ON_DEMAND(-ENOMEM);
	p = mmap(NULL, length, protection, flags, fd, (off_t)position);
	if (p == MAP_FAILED)
		rc = -errno;
	else
		*address = p;
	errno = saved;
	return rc;
}

void sys_munmap(void *address, size_t length)
{
	int saved = errno;

	munmap(address, length);
	errno = saved;
}

int sys_madvise(void *address, size_t length, int advice)
{
	FAIL_ON_DEMAND(-ENOMEM);
	return CALL(madvise(address, length, advice));
}

int sys_eventfd(void)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void sys_eventfd_raise(int fd)
{
	int saved = errno;

	eventfd_write(fd, 1);
	errno = saved;
}

int sys_memfd(const char *name, uint64_t length)
{
	int fd, rc;

	FAIL_ON_DEMAND(-EMFILE);
	fd = CALL(memfd_create(name, MFD_CLOEXEC));
	if (fd < 0)
		return fd;
	rc = CALL(ftruncate(fd, (off_t)length));
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	return fd;
}

int sys_replace(int fd, int with)
{
	FAIL_ON_DEMAND(-EBUSY);
	return CALL(dup3(with, fd, O_CLOEXEC));
}

int sys_move(void *from, size_t length, void *to)
{
	int saved = errno, rc = 0;

	FAIL_ON_DEMAND(-ENOMEM);
	if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		rc = -errno;
	errno = saved;
	return rc;
}

/* Group 1 is what the kernel itself sends; udev's own messages are in another. */
int sys_uevents(size_t buffer)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd, rc, size = (int)buffer;

	FAIL_ON_DEMAND(-EPROTONOSUPPORT);
	fd = CALL(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			 NETLINK_KOBJECT_UEVENT));
	if (fd < 0)
		return fd;
	/* Beyond the system's limit only for the privileged; else as much as it allows. */
	if (CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size))) < 0)
		CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	rc = CALL(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	return fd;
}

ssize_t sys_receive(int fd, void *data, size_t size, bool *kernel)
{
	struct sockaddr_nl from = {.nl_family = AF_UNSPEC};
	struct iovec vector = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof(from),
				 .msg_iov = &vector, .msg_iovlen = 1};
	ssize_t n;

	FAIL_ON_DEMAND(-ENOBUFS);
	n = CALL(recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC));
	*kernel = n >= 0 && message.msg_namelen == sizeof(from) && from.nl_family == AF_NETLINK &&
		  from.nl_pid == 0;
	return n;
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
	/* In the year 2242: it never runs out. */
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

int sys_epoll(void)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(epoll_create1(EPOLL_CLOEXEC));
}

int sys_epoll_add(int epoll, int fd, uint64_t tag)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = tag};

	FAIL_ON_DEMAND(-ENOSPC);
	return CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

void sys_epoll_again(int epoll, int fd, uint64_t tag)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = tag};
	int saved = errno;

	epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
	errno = saved;
}

int sys_epoll_next(int epoll, uint64_t *tag)
{
	struct epoll_event event;
	int n;

	FAIL_ON_DEMAND(-EINTR);
	n = CALL(epoll_wait(epoll, &event, 1, 0));
	if (n > 0)
		*tag = event.data.u64;
	return n;
}

void sys_epoll_remove(int epoll, int fd)
{
	int saved = errno;

	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	errno = saved;
}

int sys_poll(struct pollfd *fds, nfds_t count, int64_t timeout)
{
	struct timespec ts = {timeout / 1000000000, timeout % 1000000000};

	FAIL_ON_DEMAND(-EINTR);
	return CALL(ppoll(fds, count, timeout < 0 ? NULL : &ts, NULL));
}

int sys_readlink(const char *path, char *target, size_t size)
{
	ssize_t n;

	FAIL_ON_DEMAND(-ENOENT);
	n = CALL(readlink(path, target, size - 1));
	if (n < 0)
		return (int)n;
	target[n] = '\0';
	return 0;
}

int sys_mkdir(const char *path, mode_t mode)
{
	int rc;

	FAIL_ON_DEMAND(-EACCES);
	rc = CALL(mkdir(path, mode));
	return rc == -EEXIST ? 0 : rc;
}

int sys_unlink(const char *path)
{
	FAIL_ON_DEMAND(-EACCES);
	return CALL(unlink(path));
}

int sys_chown(const char *path, int uid, int gid)
{
	FAIL_ON_DEMAND(-EPERM);
	return CALL(chown(path, (uid_t)uid, (gid_t)gid));
}

bool sys_exists(const char *path)
{
	return CALL(access(path, F_OK)) == 0;
}

bool sys_accessible(const char *path)
{
	return CALL(access(path, R_OK | W_OK)) == 0;
}

uint64_t sys_memlock_limit(void)
{
	struct rlimit limit;

	if (CALL(getrlimit(RLIMIT_MEMLOCK, &limit)) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

size_t sys_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t sys_now(void)
{
	return now(CLOCK_MONOTONIC);
}

int64_t sys_boot_time(void)
{
	return now(CLOCK_BOOTTIME);
}

void sys_sleep(int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	int saved = errno;

	nanosleep(&ts, NULL);
	errno = saved;
}

void *sys_alloc(size_t length)
{
	int saved = errno;
	void *p;

	FAIL_ON_DEMAND(NULL);
	p = calloc(1, length);
	errno = saved;
	return p;
}
