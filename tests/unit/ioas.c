/* SPDX-License-Identifier: MIT */
/*
 * Page tables that note writes, or that PASIDs attach to, on a scripted kernel: no emulated IOMMU has
 * the first, no emulated device the second.
 */
#include "ioas_kernel.h"
#include "sweep.h"

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
	kernel.iommufd = kernel.devices[0] = kernel.devices[1] = kernel.devices[2] = -1;
	kernel.next_id = 1;
}

static uint64_t read_dirty(struct vfc_iommu *space, uint64_t iova)
{
	uint64_t bitmap = 0;

	CHECK(vfc_iommu_dirty_read(space, iova, 4 * PAGE, PAGE, &bitmap) >= 0);
	return bitmap;
}

/* Which transport, whether there is such a device, and its node: one look at sysfs answers all. */
static void one_look(void)
{
	struct vfc_device_opts opts = {.size = sizeof(opts)};
	struct vfc_iommu *space;
	struct vfc_device *device;

	reset();
	CHECK_EQ(vfc_device_open("0000:01:00.0", &opts, &device), 0); /* the best transport there is */
	CHECK_EQ(kernel.looks, 1);
	CHECK_EQ(vfc_device_close(device), 0);
	reset();
	opts.transport = "cdev";
	CHECK_EQ(vfc_device_open("01:00.0", &opts, &device), 0);
	CHECK_EQ(kernel.looks, 1);
	CHECK_EQ(vfc_device_close(device), 0);
	reset();
	space = open_space(NULL, 0);
	CHECK_EQ(open_in(space, 0, &device), 0);
	CHECK_EQ(kernel.looks, 1);
	CHECK_EQ(vfc_device_close(device), 0);
	/* One that is not there is looked for again, so that each who asks has a record. */
	opts = (struct vfc_device_opts){.size = sizeof(opts)};
	CHECK_EQ(vfc_device_open("0000:07:00.0", &opts, &device), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DEVICE);
	CHECK_EQ(vfc_iommu_close(space), 0);
}

/* The kernel resets a function when it is bound and closed, and nobody else waits for that. */
static void while_the_kernel_opens(void)
{
	struct vfc_iommu *space;
	struct vfc_device *opened;

	reset();
	space = open_space(NULL, 0);
	CHECK_EQ(open_in(space, 0, &opened), 0);
	all_at_once(space, (const char *const[]){"0000:02:00.0", "0000:03:00.0"});
	CHECK_EQ(vfc_device_close(opened) | vfc_iommu_close(space), 0);
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
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, NULL, &iova), 0);
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
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, NULL, &iova), 0);
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
	CHECK_EQ(vfc_iommu_map(space, (void *)0x10000, 4 * PAGE, NULL, &iova), 0);
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

/* Wherever a call fails, the PASID is in one space or in none, and so is the device. */
static int pasid_life(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "cdev"};
	struct vfc_device *device;
	struct vfc_iommu *space;
	uint32_t id;
	int rc = 0;

	reset();
	if (note(&rc, vfc_iommu_open(&opts, &space)) < 0)
		return rc;
	if (note(&rc, open_in(space, 0, &device)) == 0) {
		note(&rc, vfc_device_iommufd_id(device, &id));
		note(&rc, vfc_iommu_iommufd(space, &id));
		if (note(&rc, vfc_device_attach_pasid(device, 7, space)) == 0) {
			if (note(&rc, vfc_device_detach_pasid(device, 7)) < 0)
				CHECK_EQ(vfc_device_detach_pasid(device, 7), 0);
		}
		CHECK_EQ(vfc_device_detach_pasid(device, 7), -ENOENT);
		CHECK(vfc_device_iommu(device) == space);
		CHECK_EQ(vfc_device_close(device), 0);
	}
	CHECK_EQ(vfc_iommu_close(space), 0);
	return rc;
}

int main(void)
{
	make_tree();
	one_look();
	while_the_kernel_opens();
	one_table();
	two_tables();
	moves();
	pasids();
	pasids_that_fail();
	failures();
	sweep("PASIDs", pasid_life);
	remove_tree();
	return 0;
}
