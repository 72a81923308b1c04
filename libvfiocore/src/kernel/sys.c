/* SPDX-License-Identifier: MIT */
#include "kernel/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "kernel/call.h"
#include "kernel/ioctl.h"

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

bool sys_fault(void)
{
	unsigned calls = __atomic_add_fetch(&fault_calls, 1, __ATOMIC_RELAXED);

	return calls == __atomic_load_n(&fault_countdown, __ATOMIC_RELAXED);
}

static int64_t mapped; /* bytes, in whole pages */

int64_t sys_mapped(void)
{
	return __atomic_load_n(&mapped, __ATOMIC_RELAXED);
}

static void count_mapped(size_t length, int sign)
{
	size_t page = sys_page_size();

	__atomic_add_fetch(&mapped, sign * (int64_t)((length + page - 1) / page * page), __ATOMIC_RELAXED);
}
#else
static inline void count_mapped(size_t length, int sign)
{
	(void)length, (void)sign;
}
#endif

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

int sys_dup(int fd)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int sys_close_on_exec(int fd)
{
	FAIL_ON_DEMAND(-EBADF);
	return CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int sys_character_device(int fd, unsigned *major, unsigned *minor)
{
	struct stat status;
	int rc;

	FAIL_ON_DEMAND(-ENOMEM);
	rc = CALL(fstat(fd, &status));
	if (rc < 0)
		return rc;
	*major = major(status.st_rdev);
	*minor = minor(status.st_rdev);
	return S_ISCHR(status.st_mode);
}

int sys_character_node(const char *path, unsigned *major, unsigned *minor)
{
	struct stat status;
	int rc;

	FAIL_ON_DEMAND(-ENOMEM);
	rc = CALL(stat(path, &status));
	if (rc < 0)
		return rc;
	*major = major(status.st_rdev);
	*minor = minor(status.st_rdev);
	return S_ISCHR(status.st_mode);
}

int sys_ioctl(int fd, unsigned long request, void *argument)
{
	return sys_ioctl_inline(fd, request, argument);
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

/* eventfds accept RWF_NOWAIT since Linux 5.8. Before that ours do not block, so read() will do. */
static ssize_t read_now(int fd, void *data, size_t length)
{
	struct iovec iov = {data, length};
	ssize_t n = CALL(preadv2(fd, &iov, 1, -1, RWF_NOWAIT));

	return n == -EOPNOTSUPP || n == -ENOSYS ? CALL(read(fd, data, length)) : n;
}

ssize_t sys_read_now(int fd, void *data, size_t length)
{
	FAIL_ON_DEMAND(-EIO);
	return read_now(fd, data, length);
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
	if (p == MAP_FAILED) {
		rc = -errno;
	} else {
		*address = p;
		count_mapped(length, 1);
	}
	errno = saved;
	return rc;
}

void sys_munmap(void *address, size_t length)
{
	int saved = errno;

	munmap(address, length);
	count_mapped(length, -1);
	errno = saved;
}

int sys_madvise(void *address, size_t length, int advice)
{
	FAIL_ON_DEMAND(-ENOMEM);
	return CALL(madvise(address, length, advice));
}

int sys_mlock(const void *address, size_t length)
{
	FAIL_ON_DEMAND(-EAGAIN);
	return CALL(mlock(address, length));
}

void sys_munlock(const void *address, size_t length)
{
	int saved = errno;

	munlock(address, length);
	errno = saved;
}

int sys_eventfd(void)
{
	FAIL_ON_DEMAND(-EMFILE);
	return CALL(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int sys_nonblock(int fd)
{
	FAIL_ON_DEMAND(-EBADF);
	return CALL(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
}

/*
 * Try RWF_NOWAIT first. If eventfds do not accept it, sys_read_now() needs one that does not block.
 */
int sys_eventfd_blocking(void)
{
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};
	int fd, rc;

	FAIL_ON_DEMAND(-EMFILE);
	fd = CALL(eventfd(0, EFD_CLOEXEC));
	if (fd < 0 || CALL(preadv2(fd, &iov, 1, -1, RWF_NOWAIT)) == -EAGAIN)
		return fd;
	rc = sys_nonblock(fd);
	if (rc < 0)
		sys_close(fd);
	return rc < 0 ? rc : fd;
}

void sys_eventfd_return(int fd, uint64_t count)
{
	int saved = errno;

	eventfd_write(fd, count);
	errno = saved;
}

void sys_eventfd_raise(int fd)
{
	sys_eventfd_return(fd, 1);
}

uint64_t sys_eventfd_take(int fd)
{
	uint64_t count;

	return read_now(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* These functions return the error and leave errno alone, so they need no CALL(). */
static int create_thread(pthread_t *thread, void *(*run)(void *), void *argument, int cpu)
{
	pthread_attr_t attributes;
	cpu_set_t cpus;
	int rc = pthread_attr_init(&attributes);

	if (rc)
		return rc;
	if (cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		rc = cpu < CPU_SETSIZE
			? pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus) : EINVAL;
	}
	if (!rc)
		rc = pthread_create(thread, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	return rc;
}

/*
 * Fill @set with every signal but those that a thread causes itself. If such a signal is blocked
 * when it comes, the kernel kills the process without running any handler
 * (force_sig_info_to_task()).
 */
static void fill_but_synchronous(sigset_t *set)
{
	static const int synchronous[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < sizeof(synchronous) / sizeof(*synchronous); i++)
		sigdelset(set, synchronous[i]);
}

int sys_thread(pthread_t *thread, void *(*run)(void *), void *argument, int cpu)
{
	sigset_t asynchronous, old;
	int rc;

	FAIL_ON_DEMAND(-EAGAIN);
	fill_but_synchronous(&asynchronous);
	pthread_sigmask(SIG_SETMASK, &asynchronous, &old);
	rc = create_thread(thread, run, argument, cpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int sys_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
	FAIL_ON_DEMAND(-EINVAL);
	return CALL(sigaction(number, action, before));
}

void sys_signal_default(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	(void)CALL(sigaction(number, &action, NULL));
}

void sys_signal_raise(int number)
{
	(void)CALL(raise(number));
}

int sys_pid(void)
{
	return getpid();
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
	else
		count_mapped(length, -1); /* what was at @to is unmapped */
	errno = saved;
	return rc;
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

int sys_realpath(const char *path, char *real)
{
	int saved = errno, rc = 0;

	FAIL_ON_DEMAND(-ENOMEM);
	if (!realpath(path, real))
		rc = -errno;
	errno = saved;
	return rc;
}

static int shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int sys_folder(const char *path, struct dirent ***entries)
{
	int saved = errno, n;

	FAIL_ON_DEMAND(-EMFILE);
	n = CALL(scandir(path, entries, shown, by_name));
	errno = saved;
	return n;
}

void sys_folder_free(struct dirent **entries, int count)
{
	if (count < 0)
		return;
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
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

int sys_owner(const char *path, int *uid, int *gid)
{
	struct stat status;
	int rc;

	FAIL_ON_DEMAND(-ENOMEM);
	rc = CALL(stat(path, &status));
	if (rc < 0)
		return rc;
	*uid = (int)status.st_uid;
	*gid = (int)status.st_gid;
	return 0;
}

bool sys_exists(const char *path)
{
	FAIL_ON_DEMAND(false);
	return CALL(access(path, F_OK)) == 0;
}

bool sys_accessible(const char *path)
{
	FAIL_ON_DEMAND(false);
	return CALL(access(path, R_OK | W_OK)) == 0;
}

uint64_t sys_memlock_limit(void)
{
	struct rlimit limit;

	if (CALL(getrlimit(RLIMIT_MEMLOCK, &limit)) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

int sys_random(void *data, size_t length)
{
	FAIL_ON_DEMAND(-EIO);
	return CALL(getrandom(data, length, 0)) < 0 ? -EIO : 0;
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
