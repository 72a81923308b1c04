/* SPDX-License-Identifier: MIT */
/* The machine: its tree of sysfs and nodes, the script, and what is left in the end. */
#include "mock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

struct mock mock;

static char root[64];
static int live_files;
static int64_t mapped_before;

const char *mock_root(void)
{
	return root;
}

static void full_path(const char *path, char *full, size_t size)
{
	char *slash = full;

	snprintf(full, size, "%s/%s", root, path);
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
}

void mock_write(const char *path, const char *text)
{
	char full[300];
	int fd;

	full_path(path, full, sizeof(full));
	remove(full);
	if (!text)
		return;
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void mock_link(const char *path, const char *target)
{
	char full[300];

	full_path(path, full, sizeof(full));
	unlink(full);
	if (target)
		CHECK_EQ(symlink(target, full), 0);
}

/* What /sys/dev/char points to is where the kernel has the node's device. */
static void node(const char *name, const char *place, enum mock_kind kind, int index)
{
	char path[300];

	snprintf(path, sizeof(path), "dev/%s", name);
	mock_write(path, "");
	snprintf(path, sizeof(path), "sys/dev/char/%d:%d", 500 + kind, index);
	mock_link(path, place);
}

void mock_start(void)
{
	char path[100];

	memset(&mock, 0, sizeof(mock));
	mock.types = 1u << VFIO_TYPE1_IOMMU | 1u << VFIO_TYPE1v2_IOMMU;
	mock.page_sizes = 0x40201000;
	mock.entry_limit = 65535;
	mock.memlock = UINT64_MAX;
	live_files = 0;
	snprintf(root, sizeof(root), "/tmp/vfiocore-mock-XXXXXX");
	CHECK(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/sys", root);
	CHECK_EQ(setenv("VFIOCORE_SYSFS", path, 1), 0);
	mock_write("sys/bus/pci/drivers/vfio-pci/module", "");
	mock_write("sys/bus/pci/devices/.", NULL);
	mock_write("proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet\n");
	mock_write("proc/self/status", "Name:\tunit\nVmLck:\t     0 kB\nVmPin:\t     0 kB\n");
	node("iommu", "../../devices/virtual/misc/iommu", MOCK_IOMMUFD, 0);
	node("vfio/vfio", "../../devices/virtual/misc/vfio", MOCK_CONTAINER, 0);
	mapped_before = mock.mapped;
}

void mock_end(void)
{
	char command[100];

	MOCK_IDLE();
	for (int i = 0; i < MOCK_DEVICES; i++)
		if (mock.devices[i].name)
			close(mock.devices[i].memory);
	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK_EQ(system(command), 0);
	unsetenv("VFIOCORE_SYSFS");
}

int mock_find_group(int number)
{
	for (int i = 0; i < MOCK_GROUPS; i++)
		if (mock.groups[i].used && mock.groups[i].number == number)
			return i;
	return -1;
}

static void add_group(int number, bool noiommu)
{
	char name[60], path[100];
	int i = mock_find_group(number);

	if (i >= 0)
		return;
	for (i = 0; mock.groups[i].used; i++)
		CHECK(i + 1 < MOCK_GROUPS);
	mock.groups[i].used = true;
	mock.groups[i].number = number;
	mock.groups[i].noiommu = noiommu;
	snprintf(name, sizeof(name), "vfio/%s%d", noiommu ? "noiommu-" : "", number);
	snprintf(path, sizeof(path), "../../devices/virtual/%s", name);
	node(name, path, MOCK_GROUP, i);
	snprintf(path, sizeof(path), "sys/class/%s", name);
	mock_write(path, "");
	if (!noiommu)
		return;
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/name", number);
	mock_write(path, "vfio-noiommu\n");
}

static void add_links(const struct mock_device *device, int index)
{
	char path[200], target[200];
	const char *driver = device->driver ? device->driver : "vfio-pci";

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/vendor", device->name);
	mock_write(path, "0x8086\n");
	if (driver[0]) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", device->name);
		snprintf(target, sizeof(target), "../../drivers/%s", driver);
		mock_link(path, target);
	}
	if (device->group >= 0) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", device->name);
		snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%d", device->group);
		mock_link(path, target);
		snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices/%s", device->group,
			 device->name);
		snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", device->name);
		mock_link(path, target);
	}
	if (!device->cdev)
		return;
	snprintf(target, sizeof(target), "vfio/devices/%svfio%d", device->noiommu ? "noiommu-" : "",
		 index);
	snprintf(path, sizeof(path), "../../devices/pci0000:00/%s/vfio-dev/vfio%d", device->name, index);
	node(target, path, MOCK_CDEV, index);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/vfio-dev/%svfio%d/dev", device->name,
		 device->noiommu ? "noiommu-" : "", index);
	mock_write(path, "");
}

int mock_add(struct mock_device device)
{
	int i = 0;

	while (mock.devices[i].name)
		CHECK(++i < MOCK_DEVICES);
	device.memory = memfd_create("device", MFD_CLOEXEC);
	CHECK(device.memory >= 0);
	CHECK_EQ(ftruncate(device.memory, (off_t)16 << 40), 0);
	mock.devices[i] = device;
	if (device.group >= 0)
		add_group(device.group, device.noiommu);
	add_links(&device, i);
	return i;
}

static struct mock_failure *free_failure(void)
{
	struct mock_failure *it = mock.failures;

	while (it->kinds || it->path)
		CHECK(++it < mock.failures + 8);
	return it;
}

void mock_fail_nth(uint32_t kinds, unsigned long request, unsigned skip, int error)
{
	*free_failure() = (struct mock_failure){
		.kinds = kinds, .request = request, .skip = skip, .error = error};
}

void mock_fail(uint32_t kinds, unsigned long request, int error)
{
	mock_fail_nth(kinds, request, 0, error);
}

void mock_fail_open(const char *path, int error)
{
	*free_failure() = (struct mock_failure){.path = path, .error = error};
}

void mock_forget_failures(void)
{
	memset(mock.failures, 0, sizeof(mock.failures));
}

/* A long sequence that nobody compares goes on without a log. */
void mock_note(const char *format, ...)
{
	size_t used = strlen(mock.log);
	va_list args;

	va_start(args, format);
	vsnprintf(mock.log + used, sizeof(mock.log) - used, format, args);
	va_end(args);
}

void mock_expect(const char *file, int line, const char *log)
{
	if (strcmp(mock.log, log)) {
		fprintf(stderr, "asked for %s\nand not  %s\n", mock.log, log);
		test_failed(file, line, "the requests are those of the script");
	}
	mock.log[0] = '\0';
}

void mock_check_idle(const char *file, int line)
{
	if (live_files || mock.pinned || mock.locked || mock.mapped != mapped_before) {
		fprintf(stderr, "%d files, %" PRIu64 " bytes pinned, %" PRIu64 " locked, %" PRId64 " mapped\n",
			live_files, mock.pinned, mock.locked, mock.mapped - mapped_before);
		test_failed(file, line, "nothing is left in the kernel");
	}
}

struct mock_file *mock_new_file(enum mock_kind kind, int index)
{
	struct mock_file *file = calloc(1, sizeof(*file));

	CHECK(file);
	file->kind = kind;
	file->index = index;
	file->references = 1;
	live_files++;
	return file;
}

void mock_hold(struct mock_file *file)
{
	file->references++;
}

static void drop_maps(struct mock_file *file)
{
	for (size_t i = 0; i < file->map_count; i++)
		mock.pinned -= file->maps[i].length;
	file->map_count = 0;
}

void mock_put(struct mock_file *file)
{
	if (--file->references)
		return;
	if (file->kind == MOCK_GROUP)
		mock_group_gone(file);
	if (file->kind == MOCK_CDEV || file->kind == MOCK_DEVICE)
		mock_device_gone(file);
	drop_maps(file);
	live_files--;
	free(file);
}

bool mock_in_windows(uint64_t iova, uint64_t length)
{
	static const struct vfio_iova_range whole = {0, (UINT64_C(1) << 48) - 1};
	const struct vfio_iova_range *ranges = mock.range_count ? mock.ranges : &whole;
	size_t count = mock.range_count ? mock.range_count : 1;

	for (size_t i = 0; i < count; i++)
		if (ranges[i].start <= iova && iova + (length - 1) <= ranges[i].end)
			return true;
	return false;
}

static bool overlaps(const struct mock_map *map, uint64_t ioas, uint64_t iova, uint64_t length)
{
	return map->ioas == ioas && map->iova <= iova + (length - 1) &&
	       iova <= map->iova + (map->length - 1);
}

/* In the order of vfio_dma_do_map(): EINVAL, EEXIST, ENOSPC, EINVAL, then what pinning says. */
int mock_map(struct mock_file *file, uint64_t ioas, uint64_t va, uint64_t iova, uint64_t length,
	     uint32_t flags, bool file_memory)
{
	if (!length || (length | iova | va) % MOCK_PAGE || iova + (length - 1) < iova)
		return -EINVAL;
	for (size_t i = 0; i < file->map_count; i++)
		if (overlaps(&file->maps[i], ioas, iova, length))
			return -EEXIST;
	if (!ioas && file->map_count >= mock.entry_limit)
		return -ENOSPC;
	if (!mock_in_windows(iova, length))
		return -EINVAL;
	if (length > mock.memlock || mock.pinned > mock.memlock - length)
		return -ENOMEM;
	if (!file_memory && !mock_present(va, length))
		return -EFAULT;
	CHECK(file->map_count < MOCK_MAPS);
	file->maps[file->map_count++] = (struct mock_map){iova, length, va, ioas, flags};
	mock.pinned += length;
	return 0;
}

int64_t mock_unmap(struct mock_file *file, uint64_t ioas, uint64_t iova, uint64_t length, int edge)
{
	uint64_t last = iova + (length - 1), unmapped = 0;

	for (size_t i = 0; i < file->map_count; i++) {
		const struct mock_map *map = &file->maps[i];

		if (overlaps(map, ioas, iova, length) &&
		    (map->iova < iova || map->iova + (map->length - 1) > last))
			return -edge;
	}
	for (size_t i = 0; i < file->map_count;) {
		struct mock_map *map = &file->maps[i];

		if (!overlaps(map, ioas, iova, length)) {
			i++;
			continue;
		}
		unmapped += map->length;
		mock.pinned -= map->length;
		*map = file->maps[--file->map_count];
	}
	return (int64_t)unmapped;
}
