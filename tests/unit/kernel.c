/* SPDX-License-Identifier: MIT */
/*
 * The system calls by themselves: each gives the kernel's own error as -errno, leaves errno alone, and
 * keeps no descriptor of what it could not finish.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/sys.h"
#include "sweep.h"
#include "test.h"

#define SENTINEL ESTALE /* of errno, which belongs to the caller */

#define REFUSED(call, code)                   \
	do {                                  \
		errno = SENTINEL;             \
		CHECK_EQ(call, -(code));      \
		CHECK_EQ(errno, SENTINEL);    \
	} while (0)

static char root[] = "/tmp/vfiocore-kernel-XXXXXX";

static void path_of(char path[256], const char *file)
{
	snprintf(path, 256, "%s/%s", root, file);
}

static void files(void)
{
	char path[256], target[64], data[4] = "abc";
	struct dirent **entries;
	unsigned major, minor;
	int fd, uid, gid, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	path_of(path, "file");
	REFUSED(sys_open(path, O_RDONLY), ENOENT);
	REFUSED(sys_readlink(path, target, sizeof(target)), ENOENT);
	REFUSED(sys_unlink(path), ENOENT);
	REFUSED(sys_chown(path, -1, -1), ENOENT);
	REFUSED(sys_owner(path, &uid, &gid), ENOENT);
	REFUSED(sys_folder(path, &entries), ENOENT);
	sys_folder_free(entries, -ENOENT); /* nothing */
	CHECK(!sys_exists(path) && !sys_accessible(path));
	fd = sys_create(path, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(sys_pwrite(fd, data, 3, 5), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 8);
	REFUSED(sys_pwrite(null, data, 3, UINT64_MAX), EINVAL);
	REFUSED(sys_pread(fd, data, 3, 0), EBADF); /* it is open for writing */
	CHECK_EQ(sys_character_device(fd, &major, &minor), 0);
	CHECK_EQ(sys_character_device(null, &major, &minor), 1);
	CHECK(major == 1 && minor == 3);
	sys_close(fd);
	CHECK_EQ(sys_chown(path, (int)getuid(), (int)getgid()), 0);
	CHECK_EQ(sys_owner(path, &uid, &gid), 0);
	CHECK(uid == (int)getuid() && gid == (int)getgid());
	CHECK(sys_exists(path) && sys_accessible(path));
	REFUSED(sys_readlink(path, target, sizeof(target)), EINVAL);
	path_of(path, "file/below");
	REFUSED(sys_mkdir(path, 0700), ENOTDIR);
	path_of(path, "link");
	CHECK_EQ(symlink("file", path), 0);
	REFUSED(sys_create(path, 0600), ELOOP); /* whoever made that link does not choose the file */
	CHECK_EQ(sys_readlink(path, target, 3), 0);
	CHECK(!strcmp(target, "fi"));
	CHECK_EQ(sys_folder(root, &entries), 2);
	CHECK(!strcmp(entries[0]->d_name, "file") && !strcmp(entries[1]->d_name, "link"));
	sys_folder_free(entries, 2);
	CHECK_EQ(close(null), 0);
}

static void descriptors(void)
{
	uint64_t count;

	REFUSED(sys_character_device(-1, &(unsigned){0}, &(unsigned){0}), EBADF);
	REFUSED(sys_dup(-1), EBADF);
	REFUSED(sys_replace(1000000, -1), EBADF);
	REFUSED(sys_ioctl_value(-1, 0, 0), EBADF);
	REFUSED(sys_read(-1, &count, sizeof(count)), EBADF);
	REFUSED(sys_write(-1, &count, sizeof(count)), EBADF);
	REFUSED(sys_nonblock(-1), EBADF);
	REFUSED(sys_epoll_add(-1, -1, 0), EBADF);
	REFUSED(sys_epoll_queue(-1, -1, 0), EBADF);
	REFUSED(sys_epoll_wait(-1, &count, 0), EBADF);
	sys_close(-1); /* nothing */
}

/* Both kinds count up, are never waited for here, and can have what was taken put back. */
static void eventfds(int fd)
{
	uint64_t count;

	CHECK(fd >= 0);
	REFUSED(sys_read_now(fd, &count, sizeof(count)), EAGAIN);
	CHECK_EQ(sys_eventfd_take(fd), 0);
	sys_eventfd_raise(fd);
	sys_eventfd_raise(fd);
	CHECK_EQ(sys_eventfd_take(fd), 2);
	sys_eventfd_return(fd, 7);
	CHECK_EQ(sys_read_now(fd, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, 7);
	sys_close(fd);
}

static void memory(void)
{
	size_t page = sys_page_size();
	struct rlimit before, limit;
	void *there, *other;

	REFUSED(sys_mmap(0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &there), EINVAL);
	CHECK_EQ(sys_mmap(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &there), 0);
	CHECK_EQ(sys_mmap(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &other), 0);
	*(char *)there = 7;
	CHECK_EQ(sys_move(there, page, other), 0);
	CHECK_EQ(*(char *)other, 7);
	REFUSED(sys_move(other, page, (char *)other + 1), EINVAL);
	REFUSED(sys_madvise((char *)other + 1, page, MADV_DONTNEED), EINVAL);
	CHECK_EQ(sys_mlock(other, page), 0);
	sys_munlock(other, page);
	sys_munmap(other, page);
#ifndef __SANITIZE_ADDRESS__ /* whose own mlock() never fails, and whose calloc() ends the program */
	REFUSED(sys_mlock(other, page), ENOMEM);
	CHECK(!sys_alloc(PTRDIFF_MAX));
#endif
	CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	CHECK_EQ(sys_memlock_limit(), 4096);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &before), 0);
	CHECK_EQ(sys_memlock_limit(), before.rlim_cur == RLIM_INFINITY ? UINT64_MAX : before.rlim_cur);
	REFUSED(sys_memfd("too long", UINT64_MAX), EINVAL); /* its length cannot be set */
}

static void *nothing(void *argument)
{
	return argument;
}

static void threads_and_times(void)
{
	int64_t before = sys_now(), boot = sys_boot_time();
	pthread_t thread;
	void *result;

	REFUSED(sys_thread(&thread, nothing, NULL, INT_MAX), EINVAL);
	REFUSED(sys_thread(&thread, nothing, NULL, 1023), EINVAL); /* no machine of this test has it */
	CHECK_EQ(sys_thread(&thread, nothing, root, -1), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == root);
	sys_sleep(1000000);
	CHECK(sys_now() - before >= 1000000);
	CHECK(sys_boot_time() - boot >= 1000000);
	REFUSED(sys_timer(-1), EINVAL);
	CHECK_EQ(sys_sigaction(SIGKILL, NULL, &(struct sigaction){0}), 0);
	REFUSED(sys_sigaction(SIGKILL, &(struct sigaction){0}, NULL), EINVAL);
}

/* Without a descriptor left, whatever makes one says so and keeps none. */
static void no_descriptor_left(void)
{
	struct rlimit before, limit;
	struct dirent **entries;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	REFUSED(sys_open(root, O_RDONLY), EMFILE);
	REFUSED(sys_dup(0), EMFILE);
	REFUSED(sys_eventfd(), EMFILE);
	REFUSED(sys_eventfd_blocking(), EMFILE);
	REFUSED(sys_memfd("vfiocore", 1), EMFILE);
	REFUSED(sys_epoll(), EMFILE);
	REFUSED(sys_timer(1), EMFILE);
	REFUSED(sys_timer_clock_set(), EMFILE);
	REFUSED(sys_uevents(4096), EMFILE);
	REFUSED(sys_folder(root, &entries), EMFILE);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* A message that is longer than the room for it, and one that is not the kernel's. */
static void messages(void)
{
	char text[8];
	bool kernel = true;
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	REFUSED(sys_receive(pair[0], text, sizeof(text), &kernel), EAGAIN);
	CHECK(!kernel);
	kernel = true;
	CHECK_EQ(send(pair[1], "0123456789ab", 12, 0), 12);
	CHECK_EQ(sys_receive(pair[0], text, sizeof(text), &kernel), 12);
	CHECK(!kernel && !memcmp(text, "01234567", 8));
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
	REFUSED(sys_receive(pair[0], text, sizeof(text), &kernel), EBADF);
}

int main(void)
{
	char command[64];
	int fds;

	CHECK(mkdtemp(root));
	fds = count_fds();
	files();
	descriptors();
	eventfds(sys_eventfd());
	eventfds(sys_eventfd_blocking());
	memory();
	threads_and_times();
	no_descriptor_left();
	messages();
	CHECK_EQ(count_fds(), fds);
	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK_EQ(system(command), 0);
	return 0;
}
