/* SPDX-License-Identifier: MIT */
/*
 * The C library's functions that the mock stands in for. A program's own definition comes before the
 * library's, so what is linked into it calls these. What is none of the mock's goes on to the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mock.h"
#include "test.h"

#define DESCRIPTORS 1024
#define LOCKS 32

static struct mock_file *files[DESCRIPTORS];

static struct {
	uintptr_t start;
	size_t length;
} locks[LOCKS];

struct mock_file *mock_file(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS ? files[fd] : NULL;
}

static int answer(int64_t rc)
{
	if (rc >= 0)
		return (int)rc;
	errno = (int)-rc;
	return -1;
}

/* VFIO's nodes and a few files of /proc are in the fabricated tree. */
static const char *redirect(const char *path, char *other, size_t size)
{
	if (strncmp(path, "/dev/vfio/", 10) && strcmp(path, "/dev/iommu") && strncmp(path, "/proc/", 6))
		return path;
	snprintf(other, size, "%s", mock_root());
	strncat(other, path, size - strlen(other) - 1);
	if (!strncmp(path, "/proc/", 6) && syscall(SYS_faccessat, AT_FDCWD, other, F_OK) < 0)
		return path;
	return other;
}

static int real_open(const char *path, int flags, unsigned mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* pos, flags and what the driver adds (vfio_device_show_fdinfo()). */
static int open_fdinfo(int fd)
{
	struct mock_file *file = mock_file(fd);
	char text[200] = "pos:\t0\nflags:\t02000002\n";
	int info = (int)syscall(SYS_memfd_create, "fdinfo", MFD_CLOEXEC);
	size_t length = strlen(text);

	if (mock.fdinfo)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "vfio-device-syspath: /sys/devices/pci0000:00/%s\n",
					   mock.devices[file->index].name);
	CHECK_EQ(write(info, text, length), length);
	CHECK_EQ(lseek(info, 0, SEEK_SET), 0);
	return info;
}

int open(const char *path, int flags, ...)
{
	char other[300];
	unsigned mode;
	va_list args;
	int fd = -1;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, unsigned) : 0;
	va_end(args);
	for (struct mock_failure *it = mock.failures; it < mock.failures + 8; it++)
		if (!it->kinds && it->path && !strcmp(it->path, path)) {
			if (!it->always)
				it->path = NULL;
			return answer(-it->error);
		}
	if (!strncmp(path, "/dev/vfio/", 10) || !strcmp(path, "/dev/iommu")) {
		CHECK(flags & O_CLOEXEC); /* who has a node's descriptor has the device */
		return answer(mock_open_node(path));
	}
	if (!strcmp(path, "/proc/self/pagemap"))
		return mock_new_fd(mock_new_file(MOCK_PAGEMAP, 0), -1);
	if (sscanf(path, "/proc/self/fdinfo/%d", &fd) == 1 && mock_file(fd))
		return open_fdinfo(fd);
	return real_open(redirect(path, other, sizeof(other)), flags, mode);
}

int mock_new_fd(struct mock_file *file, int memory)
{
	int fd = memory < 0 ? (int)syscall(SYS_memfd_create, "mock", MFD_CLOEXEC)
			    : (int)syscall(SYS_fcntl, memory, F_DUPFD_CLOEXEC, 0);

	CHECK(fd >= 0 && fd < DESCRIPTORS);
	files[fd] = file;
	return fd;
}

static void forget(int fd)
{
	struct mock_file *file = mock_file(fd);

	if (!file)
		return;
	files[fd] = NULL;
	mock_put(file);
}

int close(int fd)
{
	forget(fd);
	return (int)syscall(SYS_close, fd);
}

int fcntl(int fd, int command, ...)
{
	va_list args;
	long argument;
	int rc;

	va_start(args, command);
	argument = va_arg(args, long);
	va_end(args);
	rc = (int)syscall(SYS_fcntl, fd, command, argument);
	if (rc >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && mock_file(fd)) {
		CHECK(rc < DESCRIPTORS);
		files[rc] = mock_file(fd);
		mock_hold(files[rc]);
	}
	return rc;
}

int dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int dup3(int from, int to, int flags)
{
	int rc = (int)syscall(SYS_dup3, from, to, flags);

	if (rc >= 0)
		forget(to);
	return rc;
}

int access(const char *path, int mode)
{
	char other[300];

	return (int)syscall(SYS_faccessat, AT_FDCWD, redirect(path, other, sizeof(other)), mode);
}

/* The numbers under which the tree's sys/dev/char has the nodes. */
int fstat(int fd, struct stat *status)
{
	struct mock_file *file = mock_file(fd);
	int rc = (int)syscall(SYS_fstat, fd, status);

	if (rc < 0 || !file || file->kind == MOCK_DEVICE || file->kind == MOCK_BUFFER)
		return rc;
	status->st_mode = S_IFCHR | 0600;
	status->st_rdev = makedev(500 + file->kind, (unsigned)file->index);
	return 0;
}

ssize_t readlink(const char *restrict path, char *restrict target, size_t size)
{
	static const char name[] = "anon_inode:[vfio-device]";
	struct mock_file *file;
	int fd;

	if (sscanf(path, "/proc/self/fd/%d", &fd) == 1 && (file = mock_file(fd)) &&
	    file->kind == MOCK_DEVICE) {
		CHECK(size >= sizeof(name));
		memcpy(target, name, sizeof(name) - 1);
		return sizeof(name) - 1;
	}
	return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

static int compare(const void *a, const void *b)
{
	return strcmp((*(struct dirent *const *)a)->d_name, (*(struct dirent *const *)b)->d_name);
}

/* Sorted by name, whatever the caller's function is: nobody here asks for anything else. */
int scandir(const char *restrict path, struct dirent ***restrict list,
	    int (*wanted)(const struct dirent *),
	    int (*order)(const struct dirent **, const struct dirent **))
{
	char other[300];
	DIR *folder = opendir(redirect(path, other, sizeof(other)));
	struct dirent *entry;
	int count = 0;

	(void)order;
	if (!folder)
		return -1;
	*list = malloc(100 * sizeof(**list));
	CHECK(*list);
	while ((entry = readdir(folder))) {
		if (!wanted(entry))
			continue;
		CHECK(count < 100);
		(*list)[count] = malloc(sizeof(*entry));
		CHECK((*list)[count]);
		memcpy((*list)[count++], entry, entry->d_reclen);
	}
	closedir(folder);
	qsort(*list, (size_t)count, sizeof(**list), compare);
	return count;
}

/* Bits 0 to 54 a frame's number, bit 63 that it is there (pagemap.rst). */
static uint64_t pagemap_entry(uintptr_t va)
{
	uint64_t frame = va / MOCK_PAGE + 0x100000;

	if (!mock_present(va, MOCK_PAGE))
		return 0;
	return UINT64_C(1) << 63 | (mock.frame ? mock.frame(va) : frame);
}

static bool access_fails(const struct mock_file *file)
{
	if (!file || !(file->kind & (MOCK_CDEV | MOCK_DEVICE)) || !mock.access_error)
		return false;
	errno = mock.access_error;
	mock.access_error = 0;
	return true;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t position)
{
	if (access_fails(mock_file(fd)))
		return -1;
	return syscall(SYS_pwrite64, fd, data, length, position);
}

ssize_t pread(int fd, void *data, size_t length, off_t position)
{
	struct mock_file *file = mock_file(fd);

	if (access_fails(file))
		return -1;
	if (!file || file->kind != MOCK_PAGEMAP)
		return syscall(SYS_pread64, fd, data, length, position);
	for (size_t i = 0; i < length / 8; i++)
		((uint64_t *)data)[i] = pagemap_entry(((uintptr_t)position / 8 + i) * MOCK_PAGE);
	return (ssize_t)length;
}

/* What a request wants to be, its turn to fail included. */
static int request_rc(struct mock_file *file, unsigned long request, void *argument)
{
	int rc = MOCK_ASIDE;

	for (struct mock_failure *it = mock.failures; it < mock.failures + 8; it++) {
		if (!(it->kinds & file->kind) || it->request != request)
			continue;
		if (it->skip) {
			it->skip--;
			continue;
		}
		if (!it->always)
			it->kinds = 0;
		return -it->error;
	}
	if (mock.answer)
		rc = mock.answer(file, request, argument);
	if (rc != MOCK_ASIDE)
		return rc;
	switch (file->kind) {
	case MOCK_CONTAINER:
		return mock_container(file, request, argument);
	case MOCK_GROUP:
		return mock_group(file, request, argument);
	case MOCK_CDEV:
	case MOCK_DEVICE:
		return mock_device(file, request, argument);
	case MOCK_IOMMUFD:
		return mock_iommufd(file, request, argument);
	default:
		return -ENOTTY;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	struct mock_file *file = mock_file(fd);
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (!file)
		return (int)syscall(SYS_ioctl, fd, request, argument);
	return answer(request_rc(file, request, argument));
}

static int64_t pages(size_t length)
{
	return (int64_t)((length + MOCK_PAGE - 1) & ~(size_t)(MOCK_PAGE - 1));
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t position)
{
	void *p = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, position);

	if (p != MAP_FAILED)
		mock.mapped += pages(length);
	return p;
}

static void unlocked(uintptr_t start, size_t length)
{
	for (int i = 0; i < LOCKS; i++) {
		if (!locks[i].length || locks[i].start != start)
			continue;
		CHECK_EQ(locks[i].length, length);
		mock.locked -= length;
		locks[i].length = 0;
		return;
	}
}

int munmap(void *address, size_t length)
{
	int rc = (int)syscall(SYS_munmap, address, length);

	if (rc == 0) {
		mock.mapped -= pages(length);
		unlocked((uintptr_t)address, length);
	}
	return rc;
}

/* Of a fixed length to a place that is mapped already: one of the two is gone. */
void *mremap(void *from, size_t length, size_t to_length, int flags, ...)
{
	void *to, *p;
	va_list args;

	va_start(args, flags);
	to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	p = (void *)syscall(SYS_mremap, from, length, to_length, flags, to);
	if (p != MAP_FAILED && flags & MREMAP_FIXED)
		mock.mapped -= pages(length);
	return p;
}

/* mlock(2): EPERM where nothing may be locked; ENOMEM for memory that is not there or above the limit. */
int mlock(const void *address, size_t length)
{
	if (!mock.memlock)
		return answer(-EPERM);
	if (!mock_present((uintptr_t)address, length) || mock.locked + length > mock.memlock)
		return answer(-ENOMEM);
	for (int i = 0; i < LOCKS; i++) {
		if (locks[i].length)
			continue;
		locks[i].start = (uintptr_t)address;
		locks[i].length = length;
		mock.locked += length;
		return 0;
	}
	CHECK(!"there is room for another lock");
	return -1;
}

int munlock(const void *address, size_t length)
{
	unlocked((uintptr_t)address, length);
	return 0;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
	if (resource != RLIMIT_MEMLOCK)
		return (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);
	limit->rlim_cur = limit->rlim_max = mock.memlock;
	return 0;
}

bool mock_present(uint64_t va, uint64_t length)
{
	unsigned char *resident = malloc(length / MOCK_PAGE + 2);
	bool there;

	CHECK(resident);
	va &= ~(MOCK_PAGE - 1);
	there = syscall(SYS_mincore, va, length, resident) == 0;
	free(resident);
	return there;
}
