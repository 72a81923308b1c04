/* SPDX-License-Identifier: MIT */
/*
 * Groups and their container on a scripted kernel, which does what type1 does for mediated devices: it
 * keeps the addresses that are mapped, and looks them up when a device does DMA.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfiocore.h>

#include "gate.h"
#include "kernel/sys.h"
#include "kernel/uapi.h"
#include "sweep.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define LENGTH (4 * PAGE)
#define FIRST "0000:01:00.0"
#define SECOND "0000:02:00.0"
#define THIRD "0000:03:00.0"
#define MAPPINGS 64

static const char container[] = "/memfd:container", group[] = "/memfd:group", handle[] = "/memfd:handle";

static struct {
	struct {
		uint64_t iova, size;
		uint8_t *va;
	} mappings[MAPPINGS];
	unsigned long fails; /* a request, with EIO unless another errno is given */
	int code;
	unsigned devices;    /* that were given out */
	unsigned looks;      /* at a device in sysfs, each of which reads what driver it has */
} kernel;

static int give(const char *kind)
{
	int fd = (int)syscall(SYS_memfd_create, kind + strlen("/memfd:"), 0);

	CHECK(fd >= 0);
	return fd;
}

/* Of a duplicate, too. */
static bool is(int fd, const char *kind)
{
	char path[40], target[60] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof(target) - 1) > 0 &&
	       !strncmp(target, kind, strlen(kind));
}

int access(const char *path, int mode)
{
	return strncmp(path, "/dev/", 5) ? (int)syscall(SYS_faccessat, AT_FDCWD, path, mode) : 0;
}

int open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/vfio/vfio"))
		return give(container);
	if (!strncmp(path, "/dev/vfio/", 10))
		return give(group);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600); /* also of what gcov creates */
}

int close(int fd)
{
	if (is(fd, handle))
		pass_gate();
	return (int)syscall(SYS_close, fd);
}

/* What a device's descriptor is, which the library reads in /proc. */
ssize_t readlink(const char *path, char *target, size_t size)
{
	size_t length = strlen(path);
	int fd;

	kernel.looks += length > 7 && !strcmp(path + length - 7, "/driver");
	if (sscanf(path, "/proc/self/fd/%d", &fd) == 1 && is(fd, handle))
		return snprintf(target, size, "anon_inode:[vfio-device]");
	return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

static int map(const struct vfio_iommu_type1_dma_map *request)
{
	size_t i = 0;

	while (kernel.mappings[i].size)
		i++;
	CHECK(i < MAPPINGS);
	kernel.mappings[i].iova = request->iova;
	kernel.mappings[i].size = request->size;
	kernel.mappings[i].va = (uint8_t *)(uintptr_t)request->vaddr;
	return 0;
}

static int unmap(struct vfio_iommu_type1_dma_unmap *request)
{
	uint64_t unmapped = 0;

	for (size_t i = 0; i < MAPPINGS; i++)
		if (kernel.mappings[i].size && kernel.mappings[i].iova - request->iova < request->size) {
			unmapped += kernel.mappings[i].size;
			kernel.mappings[i].size = 0;
		}
	request->size = unmapped;
	return 0;
}

static int answer(int fd, unsigned long request, void *argument)
{
	struct vfio_iommu_type1_info *space = argument;
	struct vfio_device_info *info = argument;
	struct vfio_group_status *status = argument;

	if (request == kernel.fails) {
		errno = kernel.code ? kernel.code : EIO;
		return -1;
	}
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return 1;
	case VFIO_GROUP_GET_STATUS:
		status->flags = VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
	case VFIO_SET_IOMMU:
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD: /* as often as it is asked: the kernel counts, and no more */
		pass_gate();
		__atomic_add_fetch(&kernel.devices, 1, __ATOMIC_RELAXED); /* the space is not locked */
		return give(handle);
	case VFIO_DEVICE_GET_INFO: /* VFIO_IOMMU_GET_INFO is another's 112 */
		if (!is(fd, handle))
			break;
		info->flags = info->num_regions = info->num_irqs = 0;
		return 0;
	case VFIO_IOMMU_MAP_DMA:
		return map(argument);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap(argument);
	default:
		break;
	}
	if (is(fd, container) && request == VFIO_IOMMU_GET_INFO) {
		space->flags = VFIO_IOMMU_INFO_PGSIZES;
		space->iova_pgsizes = PAGE;
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (is(fd, container) || is(fd, group) || is(fd, handle))
		return answer(fd, request, argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* A mediated device writes: where the address leads now. */
static bool dma_write(uint64_t iova, const char *text)
{
	int pipes[2];
	bool done = false;

	CHECK_EQ(pipe(pipes), 0); /* the kernel copies, so a hole is an error and no signal */
	for (size_t i = 0; i < MAPPINGS; i++)
		if (kernel.mappings[i].size && iova - kernel.mappings[i].iova < kernel.mappings[i].size) {
			CHECK_EQ(write(pipes[1], text, strlen(text)), strlen(text));
			done = read(pipes[0], kernel.mappings[i].va + (iova - kernel.mappings[i].iova),
				    strlen(text)) == (ssize_t)strlen(text);
		}
	CHECK_EQ(close(pipes[0]) | close(pipes[1]), 0);
	return done;
}

static struct vfc_iommu *open_space(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "group"};
	struct vfc_iommu *space;

	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	return space;
}

static int open_in(struct vfc_iommu *space, const char *name, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};

	return vfc_device_open(name, &opts, device);
}

/* How often the file is mapped here. */
static unsigned mapped_here(void)
{
	char line[400];
	unsigned count = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "vfiocore-lent") != NULL;
	CHECK_EQ(fclose(maps), 0);
	return count;
}

static int memfd(void)
{
	int fd = sys_memfd("vfiocore-lent", LENGTH);

	CHECK(fd >= 0);
	return fd;
}

/* The next memory of the process does not come to lie where the device writes to. */
static void the_address_stays(void)
{
	struct vfc_iommu *space = open_space();
	struct vfc_device *device;
	uint8_t *others[4];
	uint64_t iova = 0;
	char text[4] = "";
	int fd = memfd();

	CHECK_EQ(open_in(space, FIRST, &device), 0);
	CHECK_EQ(vfc_iommu_map_file(space, fd, 0, LENGTH, NULL, &iova), 0);
	CHECK_EQ(mapped_here(), 1);
	for (size_t i = 0; i < 4; i++) {
		others[i] = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(others[i] != MAP_FAILED);
	}
	CHECK(dma_write(iova + PAGE, "abc"));
	CHECK_EQ(pread(fd, text, 3, (off_t)PAGE), 3);
	CHECK(!strcmp(text, "abc"));
	for (size_t i = 0; i < 4; i++) {
		for (uint64_t at = 0; at < LENGTH; at++)
			CHECK_EQ(others[i][at], 0);
		CHECK_EQ(munmap(others[i], LENGTH), 0);
	}
	CHECK_EQ(vfc_iommu_unmap(space, iova, LENGTH), 0);
	CHECK(!dma_write(iova, "x"));
	CHECK_EQ(mapped_here(), 0);
	CHECK_EQ(vfc_device_close(device) | vfc_iommu_close(space) | close(fd), 0);
}

/* Each goes with its own mapping, in whatever way that goes. */
static void every_way_to_unmap(void)
{
	struct vfc_iommu *space = open_space();
	struct vfc_map_opts fixed = {.size = sizeof(fixed), .flags = VFC_MAP_FIXED};
	struct vfc_device *device;
	int fd = memfd();

	CHECK_EQ(open_in(space, FIRST, &device), 0);
	/* Not in order, and more than there is room for at first. */
	for (uint64_t i = 0; i < 40; i++) {
		uint64_t iova = (i * 7 % 40 + 1) * PAGE;

		CHECK_EQ(vfc_iommu_map_file(space, fd, i % 4 * PAGE, PAGE, &fixed, &iova), 0);
	}
	CHECK_EQ(mapped_here(), 40);
	CHECK_EQ(vfc_iommu_unmap(space, 40 * PAGE, PAGE), 0);
	CHECK_EQ(vfc_iommu_unmap(space, PAGE, PAGE), 0);
	CHECK_EQ(mapped_here(), 38);
	CHECK_EQ(vfc_iommu_unmap_range(space, 10 * PAGE, 5 * PAGE), 5 * PAGE);
	CHECK_EQ(mapped_here(), 33);
	for (uint64_t i = 2; i < 40; i++)
		CHECK_EQ(dma_write(i * PAGE, "x"), i < 10 || i >= 15);
	kernel.fails = VFIO_IOMMU_UNMAP_DMA;
	CHECK_EQ(vfc_iommu_unmap(space, 20 * PAGE, PAGE), -EIO);
	CHECK_EQ(mapped_here(), 33);
	CHECK(dma_write(20 * PAGE, "x"));
	kernel.fails = 0;
	CHECK_EQ(vfc_iommu_unmap_all(space), 33 * PAGE);
	CHECK_EQ(mapped_here(), 0);
	for (uint64_t i = 1; i < 4; i++) {
		uint64_t iova = i * PAGE;

		CHECK_EQ(vfc_iommu_map_file(space, fd, 0, PAGE, &fixed, &iova), 0);
	}
	CHECK_EQ(vfc_device_close(device) | vfc_iommu_close(space) | close(fd), 0);
	CHECK_EQ(mapped_here(), 0);
}

static int a_file(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "group"};
	struct vfc_iommu *space = NULL;
	struct vfc_device *device = NULL;
	uint64_t iova = 0;
	int rc = 0, fd = (int)syscall(SYS_memfd_create, "vfiocore-lent", 0);

	CHECK_EQ(ftruncate(fd, (off_t)LENGTH), 0);
	if (note(&rc, vfc_iommu_open(&opts, &space)) == 0 && note(&rc, open_in(space, FIRST, &device)) == 0 &&
	    note(&rc, vfc_iommu_map_file(space, fd, 0, LENGTH, NULL, &iova)) == 0 &&
	    note(&rc, vfc_iommu_unmap(space, iova, LENGTH)) < 0) {
		CHECK_EQ(mapped_here(), 1); /* the kernel has it still */
		CHECK(dma_write(iova, "x"));
	} else {
		CHECK_EQ(mapped_here(), 0);
	}
	CHECK_EQ(vfc_device_close(device) | vfc_iommu_close(space) | close(fd), 0);
	CHECK_EQ(mapped_here(), 0);
	return rc;
}

/* The kernel resets a function when it is opened and closed, and nobody else waits for that. */
static void while_the_kernel_opens(void)
{
	struct vfc_iommu *space = open_space();
	struct opening opening = {.space = space, .name = SECOND};
	struct vfc_device *opened, *again;

	CHECK_EQ(open_in(space, FIRST, &opened), 0);
	all_at_once(space, (const char *const[]){SECOND, THIRD});
	/* One that is being opened, or closed, is open. */
	shut_gate(true);
	begin(&opening, open_device);
	AT_THE_GATE(1);
	CHECK_EQ(open_in(space, SECOND, &again), -EBUSY);
	shut_gate(false);
	finish(&opening);
	shut_gate(true);
	begin(&opening, close_device);
	AT_THE_GATE(1);
	CHECK_EQ(open_in(space, SECOND, &again), -EBUSY);
	shut_gate(false);
	finish(&opening);
	/* Not even the last is in the way of a space's books: what is mapped meanwhile stays. */
	opening.device = opened;
	shut_gate(true);
	begin(&opening, close_device);
	AT_THE_GATE(1);
	map_beside(space, 1);
	shut_gate(false);
	finish(&opening);
	CHECK_EQ(vfc_iommu_close(space), 0);
}

/* The kernel says EFAULT to all this, and the record what it is. */
static void refused_at(struct vfc_iommu *space, const void *va, uint64_t length, const char *hint)
{
	const struct vfc_error *record = vfc_error_last();
	struct vfc_map_opts opts = {.size = sizeof(opts), .flags = VFC_MAP_FIXED};
	char where[40], text[600];
	uint64_t iova = 0;

	CHECK_EQ(vfc_iommu_map(space, (void *)(uintptr_t)va, length, &opts, &iova), -EFAULT);
	CHECK_EQ(record->reason, VFC_REASON_BAD_MEMORY);
	snprintf(where, sizeof(where), "the memory at 0x%" PRIxPTR " ", (uintptr_t)va);
	CHECK(strstr(record->hint, where));
	if (!strstr(record->hint, hint))
		test_failed(__FILE__, __LINE__, hint);
	/* It was asked for at IOVA 0, and the text says so. */
	CHECK(record->flags & VFC_ERROR_IOVA);
	vfc_error_text(text, sizeof(text));
	CHECK(strstr(text, "[IOVA 0x0, "));
}

static void memory_that_cannot_be_pinned(void)
{
	struct vfc_iommu *space = open_space();
	struct vfc_map_opts only_read = {.size = sizeof(only_read), .flags = VFC_MAP_READ};
	struct vfc_device *opened;
	uint64_t iova = 0;
	uint8_t *memory = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int bar = sys_memfd("[vfio-device]", PAGE); /* as the kernel calls what a device's memory is of */

	CHECK(memory != MAP_FAILED && bar >= 0);
	CHECK_EQ(open_in(space, FIRST, &opened), 0);
	kernel.fails = VFIO_IOMMU_MAP_DMA;
	kernel.code = EFAULT;
	CHECK_EQ(mprotect(memory + PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(memory + 2 * PAGE, PAGE, PROT_NONE), 0);
	CHECK(mmap(memory + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, bar, 0) !=
	      MAP_FAILED);
	CHECK_EQ(munmap(memory + 4 * PAGE, PAGE), 0);
	refused_at(space, memory + PAGE, PAGE, "is not writable in this process");
	refused_at(space, memory + 2 * PAGE, 2 * PAGE, "is not readable in this process");
	refused_at(space, memory + 3 * PAGE, PAGE, "vfc_iommu_map_region()");
	refused_at(space, memory + 4 * PAGE, PAGE, "is not mapped in this process");
	/* The first part that is at fault is named. */
	CHECK_EQ(vfc_iommu_map(space, memory, 4 * PAGE, &only_read, &iova), -EFAULT);
	CHECK(strstr(vfc_error_last()->hint, "is not readable"));
	/* Nothing is wrong that could be seen, so nothing is claimed. */
	CHECK_EQ(vfc_iommu_map(space, memory, 2 * PAGE, &only_read, &iova), -EFAULT);
	CHECK(strstr(vfc_error_last()->hint, "the kernel cannot pin all of the memory"));
	kernel.fails = 0;
	kernel.code = 0;
	CHECK_EQ(vfc_device_close(opened) | vfc_iommu_close(space), 0);
	CHECK_EQ(munmap(memory, 4 * PAGE) | close(bar), 0);
}

/* A group gives any number of descriptors, and each would take the others' interrupts. */
static void one_handle(void)
{
	struct vfc_iommu *space = open_space();
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space, .flags = VFC_DEVICE_SHARED};
	struct vfc_device *first, *again, *second, *adopted;
	unsigned given;
	int fd;

	kernel.looks = 0;
	CHECK_EQ(open_in(space, FIRST, &first), 0);
	CHECK_EQ(kernel.looks, 1);
	given = kernel.devices;
	CHECK_EQ(open_in(space, FIRST, &again), -EBUSY);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BUSY);
	CHECK(strstr(vfc_error_last()->hint, "in this address space"));
	CHECK_EQ(open_in(space, "1:0.0", &again), -EBUSY); /* by another spelling */
	CHECK_EQ(kernel.devices, given);
	CHECK_EQ(open_in(space, SECOND, &second), 0); /* another device is another */
	/* A duplicate may be adopted, and the device is open for as long as one of them is. */
	fd = fcntl(vfc_device_fd(first), F_DUPFD_CLOEXEC, 0);
	kernel.looks = 0;
	CHECK_EQ(vfc_device_adopt(fd, FIRST, &opts, &adopted), 0);
	CHECK_EQ(kernel.looks, 1);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(open_in(space, FIRST, &again), -EBUSY);
	CHECK_EQ(vfc_device_close(adopted), 0);
	/* What the host has back may be opened anew, while the object is still there. */
	CHECK_EQ(open_in(space, FIRST, &first), 0);
	CHECK_EQ(vfc_device_release(first), 0);
	CHECK_EQ(open_in(space, FIRST, &again), 0);
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(open_in(space, FIRST, &first), -EBUSY);
	CHECK_EQ(vfc_device_close(second) | vfc_device_close(again) | vfc_iommu_close(space), 0);
}

static char root[] = "/tmp/vfiocore-group-XXXXXX";

static void shell(const char *format)
{
	char command[1000];

	snprintf(command, sizeof(command), format, root);
	CHECK_EQ(system(command), 0);
}

int main(void)
{
	CHECK(mkdtemp(root));
	shell("cd %s && mkdir -p bus/pci/drivers/vfio-pci && for i in 1 2 3; do mkdir -p kernel/iommu_groups/$i "
	      "&& d=bus/pci/devices/0000:0$i:00.0 && mkdir -p $d && echo 0x8086 >$d/vendor && "
	      "ln -s ../../drivers/vfio-pci $d/driver && ln -s ../../../../kernel/iommu_groups/$i "
	      "$d/iommu_group; done");
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
	the_address_stays();
	every_way_to_unmap();
	one_handle();
	while_the_kernel_opens();
	memory_that_cannot_be_pinned();
	sweep("a file by a group", a_file);
	shell("rm -r %s");
	return 0;
}
