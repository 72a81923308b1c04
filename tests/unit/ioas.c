/* SPDX-License-Identifier: MIT */
/*
 * Page tables that note writes, or that PASIDs attach to, on a scripted kernel: no emulated IOMMU has
 * the first, no emulated device the second. The system calls that the library makes of the two nodes
 * and of their descriptors end here, and what it asked for is compared with what it should.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/iommufd.h"
#include "kernel/uapi.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define DEVICES 2

static struct {
	char log[2000]; /* what was asked for, "verb object;" */
	int iommufd, devices[DEVICES];
	uint32_t ioas, next_id;
	uint32_t made_for[16];   /* of page tables, the device */
	bool own_table[DEVICES]; /* no other device's page table does for this one */
	const char *fails;       /* the beginning of the entry whose request fails */
	int code;
} kernel;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* false: this is the one that fails. */
static bool noted(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool add(const char *format, va_list args)
{
	size_t used = strlen(kernel.log);

	vsnprintf(kernel.log + used, sizeof(kernel.log) - used, format, args);
	return !kernel.fails || strncmp(kernel.log + used, kernel.fails, strlen(kernel.fails));
}

static void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(format, args);
	va_end(args);
}

static bool noted(const char *format, ...)
{
	bool fine;
	va_list args;

	va_start(args, format);
	fine = add(format, args);
	va_end(args);
	if (!fine)
		errno = kernel.code;
	return fine;
}

static void expect(const char *file, int line, const char *log)
{
	if (strcmp(kernel.log, log)) {
		fprintf(stderr, "asked for %s\nand not  %s\n", kernel.log, log);
		test_failed(file, line, "the requests are those of the script");
	}
	kernel.log[0] = '\0';
}

#define EXPECT(log) expect(__FILE__, __LINE__, log)

int access(const char *path, int mode)
{
	if (!strncmp(path, "/dev/", 5))
		return 0;
	return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

int open(const char *path, int flags, ...)
{
	int fd, index = -1;

	if (strncmp(path, "/dev/", 5))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
	if (sscanf(path, "/dev/vfio/devices/vfio%d", &index) == 1)
		kernel.devices[index] = fd;
	else
		kernel.iommufd = fd;
	return fd;
}

static const char *kind_of(uint32_t flags)
{
	CHECK(flags && !(flags & ~(uint32_t)(IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID)));
	if (flags == IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		return "table";
	return flags == IOMMU_HWPT_ALLOC_PASID ? "pasids" : "both";
}

static int on_iommufd(unsigned long request, void *argument)
{
	struct iommu_ioas_alloc *ioas = argument;
	struct iommu_ioas_iova_ranges *ranges = argument;
	struct iommu_hwpt_alloc *table = argument;
	struct iommu_hw_info *hardware = argument;
	struct iommu_hwpt_set_dirty_tracking *tracking = argument;
	struct iommu_hwpt_get_dirty_bitmap *get = argument;
	struct iommu_destroy *gone = argument;

	switch (request) {
	case IOMMU_IOAS_ALLOC:
		kernel.ioas = ioas->out_ioas_id = kernel.next_id++;
		return 0;
	case IOMMU_IOAS_IOVA_RANGES:
		ranges->out_iova_alignment = PAGE;
		if (ranges->num_iovas) /* a first and a last address */
			memcpy((void *)(uintptr_t)ranges->allowed_iovas,
			       (uint64_t[]){0, 0xffffffff}, 16);
		ranges->num_iovas = 1;
		return 0;
	case IOMMU_IOAS_MAP:
	case IOMMU_IOAS_UNMAP: /* of as much as was asked for */
		return 0;
	case IOMMU_HWPT_ALLOC:
		CHECK(table->pt_id && table->pt_id <= kernel.ioas);
		table->out_hwpt_id = kernel.next_id;
		if (!noted("%s %u for %u;", kind_of(table->flags), table->out_hwpt_id, table->dev_id))
			return -1;
		kernel.made_for[kernel.next_id++] = table->dev_id;
		return 0;
	case IOMMU_GET_HW_INFO: /* asked when a table is refused */
		hardware->out_capabilities = IOMMU_HW_CAP_DIRTY_TRACKING;
		return 0;
	case IOMMU_HWPT_SET_DIRTY_TRACKING:
		return noted("%s %u;", tracking->flags ? "on" : "off", tracking->hwpt_id) ? 0 : -1;
	case IOMMU_HWPT_GET_DIRTY_BITMAP:
		CHECK(get->flags == 0 && get->page_size == PAGE);
		/* A bit of the table's own, added to those that are there. */
		*(uint64_t *)(uintptr_t)get->data |= UINT64_C(1) << (get->hwpt_id % 64);
		return noted("read %u;", get->hwpt_id) ? 0 : -1;
	case IOMMU_DESTROY:
		note("destroy %u;", gone->id);
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int on_device(int index, unsigned long request, void *argument)
{
	struct vfio_device_bind_iommufd *bind = argument;
	struct vfio_device_attach_iommufd_pt *attach = argument;
	struct vfio_device_detach_iommufd_pt *detach = argument;
	struct vfio_device_info *info = argument;

	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		CHECK_EQ(bind->iommufd, kernel.iommufd);
		bind->out_devid = 10 + (uint32_t)index;
		return 0;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		if (attach->flags & VFIO_DEVICE_ATTACH_PASID) {
			CHECK_EQ(attach->argsz, sizeof(*attach));
			return noted("attach %d.%u to %u;", 10 + index, attach->pasid, attach->pt_id) ? 0
												      : -1;
		}
		if (!noted("attach %d to %u;", 10 + index, attach->pt_id))
			return -1;
		if (kernel.own_table[index] && attach->pt_id != kernel.ioas &&
		    kernel.made_for[attach->pt_id] != 10 + (uint32_t)index) {
			errno = EINVAL;
			return -1;
		}
		return 0;
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		if (detach->argsz == sizeof(*detach) && detach->flags & VFIO_DEVICE_DETACH_PASID)
			return noted("detach %d.%u;", 10 + index, detach->pasid) ? 0 : -1;
		note("detach %d;", 10 + index);
		return 0;
	case VFIO_DEVICE_GET_INFO: /* no region, no interrupt */
		info->num_regions = info->num_irqs = 0;
		info->flags = 0;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (fd == kernel.iommufd)
		return on_iommufd(request, argument);
	for (int i = 0; i < DEVICES; i++)
		if (fd == kernel.devices[i])
			return on_device(i, request, argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* sysfs with two devices, bound and with their nodes. */
static char root[] = "/tmp/vfiocore-ioas-XXXXXX";

static void make_tree(void)
{
	char command[1000];

	CHECK(mkdtemp(root));
	snprintf(command, sizeof(command),
		 "cd %s && mkdir -p bus/pci/drivers/vfio-pci kernel/iommu_groups/1 && for i in 0 1; do "
		 "d=bus/pci/devices/0000:0$((i+1)):00.0 && mkdir -p $d/vfio-dev/vfio$i && "
		 "echo 0x8086 >$d/vendor && ln -s ../../drivers/vfio-pci $d/driver && "
		 "ln -s ../../../../kernel/iommu_groups/1 $d/iommu_group; done", root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
}

static void remove_tree(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK_EQ(system(command), 0);
}

static struct vfc_iommu *open_space(struct vfc_iommu *beside, uint32_t flags)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .flags = flags, .transport = "cdev",
				      .beside = beside};
	struct vfc_iommu *space;

	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	return space;
}

static int open_in(struct vfc_iommu *space, int index, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};
	char name[] = "0000:01:00.0";

	name[6] = (char)('1' + index);
	return vfc_device_open(name, &opts, device);
}

static void reset(void)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.iommufd = kernel.devices[0] = kernel.devices[1] = -1;
	kernel.next_id = 1;
}

static uint64_t read_dirty(struct vfc_iommu *space, uint64_t iova)
{
	uint64_t bitmap = 0;

	CHECK(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap) >= 0);
	return bitmap;
}

/* The second device takes the first's table; the last to leave takes it along. */
static void one_table(void)
{
	struct vfc_iommu *space;
	struct vfc_device *first, *second;
	uint64_t iova = 0, bitmap;

	reset();
	space = open_space(NULL, VFC_IOMMU_DIRTY);
	CHECK_EQ(open_in(space, 0, &first), 0);
	EXPECT("table 2 for 10;attach 10 to 2;");
	CHECK_EQ(open_in(space, 1, &second), 0);
	EXPECT("attach 11 to 2;");
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap), -EINVAL); /* not started */
	EXPECT("");
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	CHECK_EQ(read_dirty(space, iova), 1 << 2);
	EXPECT("on 2;read 2;");
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_dirty_stop(space), 0);
	EXPECT("off 2;");
	CHECK_EQ(vfc_device_close(second), 0);
	EXPECT("destroy 2;");
	CHECK_EQ(vfc_iommu_close(space), 0);
	EXPECT("destroy 1;");
}

/* A device behind another IOMMU gets its own table, and all tables are asked. */
static void two_tables(void)
{
	struct vfc_iommu *space;
	struct vfc_device *first, *second;
	struct vfc_error before;
	uint64_t iova = 0;

	reset();
	kernel.own_table[1] = true;
	space = open_space(NULL, VFC_IOMMU_DIRTY);
	before = *vfc_error_last();
	CHECK_EQ(open_in(space, 0, &first), 0);
	EXPECT("table 2 for 10;attach 10 to 2;");
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	EXPECT("on 2;");
	CHECK_EQ(open_in(space, 1, &second), 0); /* tracked from before it can write */
	EXPECT("attach 11 to 2;table 3 for 11;on 3;attach 11 to 3;");
	CHECK(!memcmp(&before, vfc_error_last(), sizeof(before))); /* nothing failed */
	CHECK_EQ(read_dirty(space, iova), 1 << 2 | 1 << 3);
	EXPECT("read 3;read 2;");
	CHECK_EQ(vfc_device_close(second), 0);
	CHECK_EQ(read_dirty(space, iova), 0xf); /* what that one wrote is not known any more */
	EXPECT("destroy 3;read 2;");
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	CHECK_EQ(read_dirty(space, iova), 1 << 2);
	EXPECT("on 2;read 2;");
	CHECK_EQ(vfc_iommu_dirty_stop(space), 0);
	EXPECT("off 2;");
	CHECK_EQ(vfc_iommu_unmap(space, iova, 4 * PAGE), 0);
	CHECK_EQ(vfc_device_detach(first), 0);
	EXPECT("detach 10;destroy 2;");
	CHECK_EQ(vfc_device_attach(first, space), 0);
	EXPECT("table 4 for 10;attach 10 to 4;");
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	EXPECT("destroy 4;destroy 1;");
}

/* From and to a space without tracking, which has no tables of its own. */
static void moves(void)
{
	struct vfc_iommu *space, *plain;
	struct vfc_device *device;
	uint32_t ioas;

	reset();
	plain = open_space(NULL, 0);
	CHECK(vfc_iommu_iommufd(plain, &ioas) == kernel.iommufd && ioas == 1);
	CHECK_EQ(open_in(plain, 0, &device), 0);
	EXPECT("attach 10 to 1;");
	CHECK_EQ(vfc_iommu_dirty_start(plain), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "VFC_IOMMU_DIRTY"));
	space = open_space(plain, VFC_IOMMU_DIRTY);
	CHECK_EQ(vfc_device_attach(device, space), 0);
	EXPECT("table 3 for 10;attach 10 to 3;");
	CHECK_EQ(vfc_device_attach(device, plain), 0);
	EXPECT("attach 10 to 1;destroy 3;");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(plain), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	EXPECT("destroy 1;destroy 2;");
}

/*
 * A PASID is attached to a page table that was made for it, and so must the device be: the kernel
 * refuses it beside another kind.
 */
static void pasids(void)
{
	struct vfc_iommu *space, *beside;
	struct vfc_device *device;

	reset();
	space = open_space(NULL, 0);
	beside = open_space(space, 0);
	CHECK_EQ(open_in(space, 0, &device), 0);
	EXPECT("attach 10 to 1;");
	CHECK_EQ(vfc_device_attach_pasid(device, 7, beside), 0);
	EXPECT("pasids 3 for 10;attach 10 to 3;pasids 4 for 10;attach 10.7 to 4;");
	CHECK_EQ(vfc_device_attach_pasid(device, 8, beside), 0);
	EXPECT("attach 10.8 to 4;");
	CHECK_EQ(vfc_device_attach_pasid(device, 7, beside), 0); /* there already */
	EXPECT("");
	CHECK_EQ(vfc_device_attach_pasid(device, 7, space), 0); /* moved, into the device's own */
	EXPECT("attach 10.7 to 3;");
	CHECK_EQ(vfc_device_attach(device, beside), 0);
	EXPECT("attach 10 to 4;");
	CHECK_EQ(vfc_device_detach_pasid(device, 7), 0);
	EXPECT("detach 10.7;destroy 3;");
	kernel.fails = "detach 10.8;";
	kernel.code = EIO;
	CHECK_EQ(vfc_device_detach_pasid(device, 8), -EIO);
	EXPECT("detach 10.8;");
	CHECK_EQ(vfc_device_release(device), 0); /* leaves them all */
	EXPECT("detach 10.8;destroy 4;");
	CHECK_EQ(vfc_device_detach_pasid(device, 8), -ENODEV);
	CHECK_EQ(vfc_iommu_close(beside), -EBUSY);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(beside), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	EXPECT("destroy 2;destroy 1;");
}

/* The first PASID fails, at either step: the device is back on the table that it had. */
static void pasids_that_fail(void)
{
	struct vfc_iommu *space, *tracks;
	struct vfc_device *device;

	reset();
	space = open_space(NULL, 0);
	CHECK_EQ(open_in(space, 0, &device), 0);
	kernel.fails = "pasids 2 for 10;";
	kernel.code = EOPNOTSUPP;
	CHECK_EQ(vfc_device_attach_pasid(device, 7, space), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "no page tables for PASIDs"));
	kernel.fails = "attach 10.7 to ";
	kernel.code = EINVAL;
	CHECK_EQ(vfc_device_attach_pasid(device, 7, space), -EOPNOTSUPP);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_UNSUPPORTED);
	EXPECT("attach 10 to 1;pasids 2 for 10;attach 10 to 1;pasids 2 for 10;attach 10 to 2;"
	       "attach 10.7 to 2;pasids 3 for 10;attach 10.7 to 3;destroy 3;attach 10 to 1;destroy 2;");
	CHECK_EQ(vfc_device_detach_pasid(device, 7), -ENOENT);
	CHECK_EQ(vfc_device_close(device), 0);

	/* What is tracked is tracked for PASIDs, too. */
	kernel.fails = NULL;
	kernel.log[0] = '\0';
	tracks = open_space(space, VFC_IOMMU_DIRTY);
	CHECK_EQ(open_in(tracks, 0, &device), 0);
	kernel.fails = "both 6 for 10;";
	kernel.code = EOPNOTSUPP;
	CHECK_EQ(vfc_device_attach_pasid(device, 7, tracks), -EOPNOTSUPP);
	CHECK(strstr(vfc_error_last()->hint, "no page tables for PASIDs")); /* it can track */
	EXPECT("table 5 for 10;attach 10 to 5;both 6 for 10;attach 10 to 5;");
	kernel.fails = NULL;
	CHECK_EQ(vfc_device_attach_pasid(device, 7, tracks), 0);
	CHECK_EQ(vfc_iommu_dirty_start(tracks), 0);
	EXPECT("both 6 for 10;attach 10 to 6;destroy 5;attach 10.7 to 6;on 6;");
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(tracks), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
}

/* Whatever fails leaves the kernel as it was before. */
static void failures(void)
{
	struct vfc_iommu *space;
	struct vfc_device *first, *second;
	uint64_t iova = 0, bitmap;

	reset();
	kernel.own_table[1] = true;
	kernel.code = EOPNOTSUPP;
	space = open_space(NULL, VFC_IOMMU_DIRTY);
	kernel.fails = "table 2 for 10;"; /* the IOMMU cannot */
	CHECK_EQ(open_in(space, 0, &first), -EOPNOTSUPP);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_UNSUPPORTED);
	CHECK(strstr(vfc_error_last()->hint, "without VFC_IOMMU_DIRTY"));
	kernel.fails = "attach 10 to 2;";
	kernel.code = EBUSY;
	CHECK_EQ(open_in(space, 0, &first), -EBUSY);
	EXPECT("table 2 for 10;table 2 for 10;attach 10 to 2;destroy 2;");
	kernel.fails = NULL;
	CHECK_EQ(open_in(space, 0, &first), 0);
	CHECK_EQ(open_in(space, 1, &second), 0);
	EXPECT("table 3 for 10;attach 10 to 3;attach 11 to 3;table 4 for 11;attach 11 to 4;");

	kernel.fails = "on 3;"; /* the second of the two: the first is turned off again */
	kernel.code = EIO;
	CHECK_EQ(vfc_iommu_dirty_start(space), -EIO);
	EXPECT("on 4;on 3;off 4;off 3;");
	kernel.fails = NULL;
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, &iova, NULL), 0);
	CHECK_EQ(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap), -EINVAL);
	CHECK_EQ(vfc_iommu_dirty_start(space), 0);
	kernel.fails = "read 3;";
	CHECK_EQ(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap), -EIO);
	EXPECT("on 4;on 3;read 4;read 3;");

	/* Back: it was attached there, and tracked. */
	CHECK_EQ(vfc_device_close(second), 0);
	kernel.fails = "on 5;";
	CHECK_EQ(open_in(space, 1, &second), -EIO);
	EXPECT("destroy 4;attach 11 to 3;table 5 for 11;on 5;destroy 5;");
	kernel.fails = NULL;
	CHECK_EQ(vfc_device_close(first), 0);
	CHECK_EQ(vfc_iommu_close(space), 0);
	EXPECT("destroy 3;destroy 1;");
}

int main(void)
{
	make_tree();
	one_table();
	two_tables();
	moves();
	pasids();
	pasids_that_fail();
	failures();
	remove_tree();
	return 0;
}
