/* SPDX-License-Identifier: MIT */
/*
 * iommufd's verbs: arguments, descriptors that are something else, and what comes out of a queue.
 *
 * iommufd [real]: without an argument no kernel with iommufd is needed; "real" (tests/lab/
 * test_iommufd_mock.py) makes each system call of a sequence on /dev/iommu fail in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfiocore.h>

#include "kernel/iommufd.h"
#include "sweep.h"
#include "test.h"

#define PAGE 4096

static struct vfc_iommufd_hwpt_opts hwpt_opts = {.size = sizeof(hwpt_opts)};
static struct vfc_iommufd_hw_info hw_info = {.size = sizeof(hw_info)};
static struct vfc_iommufd_dirty dirty = {.size = sizeof(dirty), .length = PAGE, .page_size = PAGE};
static uint8_t page[PAGE] __attribute__((aligned(PAGE)));

/* Every request once, on descriptors that are no iommufd; returns how often @rc came back. */
static int try_all(int fd, int rc)
{
	uint64_t value = 0, length = 1, bitmap[1] = {0};
	uint32_t id = 1, count = 1;
	int n = 0, queue;

	n += vfc_iommufd_destroy(fd, 1) == rc;
	n += vfc_iommufd_option_get(fd, 0, 0, &value) == rc;
	n += vfc_iommufd_option_set(fd, 1, 1, 0) == rc;
	n += vfc_iommufd_compat_get(fd, &id) == rc;
	n += vfc_iommufd_compat_set(fd, 1) == rc;
	n += vfc_iommufd_compat_clear(fd) == rc;
	n += vfc_iommufd_ioas_alloc(fd, &id) == rc;
	n += vfc_iommufd_ioas_ranges(fd, 1, NULL, 0, &value) == rc;
	n += vfc_iommufd_ioas_allow(fd, 1, NULL, 0) == rc;
	n += vfc_iommufd_ioas_map(fd, 1, page, PAGE, 0, &value) == rc;
	n += vfc_iommufd_ioas_map_file(fd, 1, fd, 0, PAGE, VFC_MAP_READ, &value) == rc;
	n += vfc_iommufd_ioas_copy(fd, 1, 2, 0, PAGE, VFC_MAP_FIXED, &value) == rc;
	n += vfc_iommufd_ioas_unmap(fd, 1, 0, PAGE) == rc;
	n += vfc_iommufd_ioas_physical(fd, 1, 0, &length, &value) == rc;
	n += vfc_iommufd_change_process(fd) == rc;
	n += vfc_iommufd_hw_info(fd, 1, &hw_info, NULL, 0) == rc;
	n += vfc_iommufd_hwpt_alloc(fd, 1, 2, NULL, &id) == rc;
	n += vfc_iommufd_hwpt_dirty(fd, 1, true) == rc;
	n += vfc_iommufd_hwpt_dirty_bitmap(fd, 1, &dirty, bitmap) == rc;
	n += vfc_iommufd_invalidate(fd, 1, 0, page, 8, &count) == rc && count == 0;
	n += vfc_iommufd_fault_queue_alloc(fd, &id, &queue) == rc;
	n += vfc_iommufd_viommu_alloc(fd, 1, 2, 1, NULL, 0, &id) == rc;
	n += vfc_iommufd_vdevice_alloc(fd, 1, 2, 3, &id) == rc;
	n += vfc_iommufd_event_queue_alloc(fd, 1, 1, 1, &id, &queue) == rc;
	n += vfc_iommufd_hw_queue_alloc(fd, 1, 1, 0, 0, PAGE, &id) == rc;
	n += vfc_iommufd_bind(fd, fd, page, &id) == rc;
	n += vfc_iommufd_attach(fd, &id, 5) == rc;
	n += vfc_iommufd_detach(fd, -1) == rc;
	return n;
}

#define REQUESTS 28

static void wrong_descriptors(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint32_t id = 7;

	CHECK(null >= 0);
	errno = 4242;
	CHECK_EQ(try_all(null, -ENOTTY), REQUESTS);
	CHECK_EQ(try_all(-1, -EBADF), REQUESTS);
	CHECK_EQ(errno, 4242);
	CHECK_EQ(vfc_iommufd_ioas_alloc(null, &id), -ENOTTY);
	CHECK_EQ(id, 7);
	CHECK(strstr(vfc_error_last()->hint, "is not one of /dev/iommu"));
	CHECK(!strcmp(vfc_error_last()->call, "IOMMU_IOAS_ALLOC"));
	CHECK(!strcmp(vfc_error_last()->operation, "vfc_iommufd_ioas_alloc"));
	CHECK_EQ(vfc_iommufd_attach(null, &id, -1), -ENOTTY);
	CHECK(strstr(vfc_error_last()->hint, "/dev/vfio/devices/vfioN"));
	CHECK(!strcmp(vfc_error_last()->object, "page table 7"));
	CHECK_EQ(close(null), 0);
}

#define REFUSED(call)                                                     \
	do {                                                              \
		CHECK_EQ(call, -EINVAL);                                  \
		CHECK(vfc_error_last()->reason == VFC_REASON_ARGUMENT ||  \
		      vfc_error_last()->reason == VFC_REASON_ALIGNMENT);  \
		CHECK(vfc_error_last()->hint[0]);                         \
	} while (0)

/* The descriptor is wrong, too: who looks at it first answers EBADF. */
static void bad_arguments(void)
{
	struct vfc_iova_range range = {0, 1};
	uint64_t value = 0, bitmap[1];
	uint32_t id = 1, count = 1;
	int queue;

	REFUSED(vfc_iommufd_option_get(-1, 0, 0, NULL));
	REFUSED(vfc_iommufd_compat_get(-1, NULL));
	REFUSED(vfc_iommufd_ioas_alloc(-1, NULL));
	REFUSED(vfc_iommufd_ioas_ranges(-1, 1, NULL, 1, NULL));
	REFUSED(vfc_iommufd_ioas_allow(-1, 1, NULL, 1));
	REFUSED(vfc_iommufd_ioas_allow(-1, 1, &range, UINT64_C(1) << 32));
	REFUSED(vfc_iommufd_ioas_map(-1, 1, page, PAGE, 0, NULL));
	REFUSED(vfc_iommufd_ioas_map(-1, 1, page, PAGE, 8, &value));
	REFUSED(vfc_iommufd_ioas_map_file(-1, 1, 0, 0, PAGE, 0, NULL));
	REFUSED(vfc_iommufd_ioas_copy(-1, 1, 2, 0, PAGE, 1u << 31, &value));
	REFUSED(vfc_iommufd_ioas_physical(-1, 1, 0, NULL, &value));
	REFUSED(vfc_iommufd_ioas_physical(-1, 1, 0, &value, NULL));
	REFUSED(vfc_iommufd_fault_queue_alloc(-1, &id, NULL));
	REFUSED(vfc_iommufd_fault_queue_alloc(-1, NULL, &queue));
	REFUSED(vfc_iommufd_viommu_alloc(-1, 1, 1, 1, NULL, 8, &id));
	REFUSED(vfc_iommufd_viommu_alloc(-1, 1, 1, 1, NULL, 0, NULL));
	REFUSED(vfc_iommufd_vdevice_alloc(-1, 1, 1, 1, NULL));
	REFUSED(vfc_iommufd_event_queue_alloc(-1, 1, 1, 1, NULL, &queue));
	REFUSED(vfc_iommufd_hw_queue_alloc(-1, 1, 1, 0, 0, PAGE, NULL));
	REFUSED(vfc_iommufd_bind(-1, -1, NULL, NULL));
	REFUSED(vfc_iommufd_attach(-1, NULL, -1));
	CHECK_EQ(vfc_iommufd_attach(-1, &id, 1 << 20), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_iommufd_detach(-1, INT32_MAX), -EINVAL);
	REFUSED(vfc_iommufd_hw_info(-1, 1, NULL, NULL, 0));
	REFUSED(vfc_iommufd_hw_info(-1, 1, &hw_info, NULL, 8));
	hw_info.size = 4;
	REFUSED(vfc_iommufd_hw_info(-1, 1, &hw_info, NULL, 0));
	hw_info.size = sizeof(hw_info);
	REFUSED(vfc_iommufd_hwpt_alloc(-1, 1, 1, NULL, NULL));
	hwpt_opts.data_length = 8;
	REFUSED(vfc_iommufd_hwpt_alloc(-1, 1, 1, &hwpt_opts, &id));
	hwpt_opts.data_length = 0;
	hwpt_opts.flags = IOMMU_HWPT_FAULT_ID_VALID; /* is what `fault` is for */
	REFUSED(vfc_iommufd_hwpt_alloc(-1, 1, 1, &hwpt_opts, &id));
	hwpt_opts.flags = 0;
	hwpt_opts.size = 4;
	REFUSED(vfc_iommufd_hwpt_alloc(-1, 1, 1, &hwpt_opts, &id));
	hwpt_opts.size = sizeof(hwpt_opts);
	REFUSED(vfc_iommufd_hwpt_dirty_bitmap(-1, 1, NULL, bitmap));
	REFUSED(vfc_iommufd_hwpt_dirty_bitmap(-1, 1, &dirty, NULL));
	REFUSED(vfc_iommufd_invalidate(-1, 1, 0, page, 8, NULL));
	REFUSED(vfc_iommufd_invalidate(-1, 1, 0, NULL, 8, &count));
	REFUSED(vfc_iommufd_invalidate(-1, 1, 0, page, 0, &count));
	CHECK_EQ(count, 1);
}

static void bad_dirty_ranges(void)
{
	static const struct vfc_iommufd_dirty bad[] = {
		{sizeof(dirty), 0, 0, PAGE, 0},         {sizeof(dirty), 0, 0, PAGE, 3 * PAGE},
		{sizeof(dirty), 0, 0, 0, PAGE},         {sizeof(dirty), 0, 1, PAGE, PAGE},
		{sizeof(dirty), 0, 0, PAGE + 1, PAGE},  {sizeof(dirty), 2, 0, PAGE, PAGE},
		{sizeof(dirty) - 1, 0, 0, PAGE, PAGE},  {sizeof(dirty), 0, PAGE, PAGE, 2 * PAGE},
	};
	uint64_t bitmap[1] = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		REFUSED(vfc_iommufd_hwpt_dirty_bitmap(-1, 1, &bad[i], bitmap));
}

/* A queue's descriptor gives records as a pipe does. */
static void push(int fd, const void *data, size_t length)
{
	CHECK_EQ(write(fd, data, length), length);
}

static void faults(void)
{
	struct iommu_hwpt_pgfault in[2] = {
		{IOMMU_PGFAULT_FLAGS_PASID_VALID, 7, 5, 3, IOMMU_PGFAULT_PERM_WRITE, 0, 0x1000, 0, 11},
		{IOMMU_PGFAULT_FLAGS_LAST_PAGE, 7, 0, 3, IOMMU_PGFAULT_PERM_READ, 0, UINT64_MAX, 9, 11},
	};
	struct vfc_iommufd_response answer = {11, VFC_IOMMUFD_RESPONSE_INVALID};
	struct iommu_hwpt_page_response seen;
	struct vfc_iommufd_fault out[4];
	int fds[2];

	CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	CHECK_EQ(vfc_iommufd_faults(fds[0], out, 4), 0);
	push(fds[1], in, sizeof(in));
	CHECK_EQ(vfc_iommufd_faults(fds[0], out, 4), 2);
	CHECK_EQ(out[0].flags, VFC_IOMMUFD_FAULT_PASID);
	CHECK_EQ(out[0].device, 7);
	CHECK_EQ(out[0].pasid, 5);
	CHECK_EQ(out[0].access, VFC_IOMMUFD_ACCESS_WRITE);
	CHECK_EQ(out[1].flags, VFC_IOMMUFD_FAULT_LAST);
	CHECK_EQ(out[1].address, UINT64_MAX);
	CHECK_EQ(out[1].length, 9);
	CHECK_EQ(out[1].cookie, 11);
	push(fds[1], in, sizeof(in[0]) + 1);
	CHECK_EQ(vfc_iommufd_faults(fds[0], out, 4), -EBADMSG);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_MALFORMED);
	CHECK_EQ(vfc_iommufd_faults(fds[1], out, 4), -EBADF);
	REFUSED(vfc_iommufd_faults(fds[0], NULL, 4));
	REFUSED(vfc_iommufd_faults(fds[0], out, 0));

	CHECK_EQ(vfc_iommufd_respond(fds[1], &answer, 1), 1);
	CHECK_EQ(read(fds[0], &seen, sizeof(seen)), sizeof(seen));
	CHECK_EQ(seen.cookie, 11);
	CHECK_EQ(seen.code, IOMMUFD_PAGE_RESP_INVALID);
	CHECK_EQ(vfc_iommufd_respond(fds[0], &answer, 1), -EBADF);
	REFUSED(vfc_iommufd_respond(fds[1], NULL, 1));
	REFUSED(vfc_iommufd_respond(fds[1], &answer, 0));
	close(fds[0]);
	close(fds[1]);
}

struct record {
	struct iommufd_vevent_header header;
	uint32_t data;
};

static int event_fds[2];

static int take(uint32_t *next, struct vfc_iommufd_event *events, uint32_t *data, uint32_t count)
{
	return vfc_iommufd_events(event_fds[0], 4, next, events, data, count);
}

static void events(void)
{
	struct record in[] = {{{0, 0}, 100}, {{0, 3}, 103}, {{0, INT32_MAX}, 1}, {{0, 0}, 2}};
	struct iommufd_vevent_header lost = {IOMMU_VEVENTQ_FLAG_LOST_EVENTS, 5};
	struct vfc_iommufd_event out[4];
	uint32_t next = 0, data[4];

	CHECK_EQ(take(&next, out, data, 4), 0);
	push(event_fds[1], in, 2 * sizeof(in[0]));
	push(event_fds[1], &lost, sizeof(lost));
	CHECK_EQ(take(&next, out, data, 4), 3);
	CHECK_EQ(out[0].lost, 0);
	CHECK_EQ(out[0].length, 4);
	CHECK_EQ(data[0], 100);
	CHECK_EQ(out[1].lost, 2); /* 1 and 2 */
	CHECK_EQ(data[1], 103);
	CHECK_EQ(out[2].flags, VFC_IOMMUFD_EVENT_LOST);
	CHECK_EQ(out[2].lost, 2); /* 4 and 5 */
	CHECK_EQ(out[2].length, 0);
	CHECK_EQ(next, 6);

	next = INT32_MAX;
	push(event_fds[1], &in[2], 2 * sizeof(in[0]));
	CHECK_EQ(take(&next, out, data, 4), 2);
	CHECK_EQ(out[0].lost + out[1].lost, 0);
	CHECK_EQ(next, 1);
}

/* What no queue hands out. */
static void hostile_events(void)
{
	struct record two[2] = {{{0, 0}, 1}, {{0, 1}, 2}};
	uint8_t mixed[20] = {0};
	struct vfc_iommufd_event out[2];
	uint32_t next = 0, data[2];

	push(event_fds[1], two, sizeof(two[0]) + 5); /* a half header */
	CHECK_EQ(take(&next, out, data, 2), -EBADMSG);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_MALFORMED);
	push(event_fds[1], two, sizeof(two[0].header)); /* no data */
	CHECK_EQ(take(&next, out, data, 2), -EBADMSG);
	two[0].header.sequence = 0x80000000;
	push(event_fds[1], two, sizeof(two[0]));
	CHECK_EQ(take(&next, out, data, 2), -EBADMSG);
	/* Word of losses fits more often than asked for. */
	next = 0;
	mixed[0] = mixed[8] = IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
	push(event_fds[1], mixed, 16);
	CHECK_EQ(vfc_iommufd_events(event_fds[0], 8, &next, out, data, 1), 1);
	CHECK_EQ(out[0].flags, VFC_IOMMUFD_EVENT_LOST);
	CHECK_EQ(next, 1);
	REFUSED(vfc_iommufd_events(event_fds[0], 0, &next, out, data, 1));
	REFUSED(vfc_iommufd_events(event_fds[0], 4, NULL, out, data, 1));
	REFUSED(vfc_iommufd_events(event_fds[0], 4, &next, NULL, data, 1));
	REFUSED(vfc_iommufd_events(event_fds[0], 4, &next, out, NULL, 1));
	REFUSED(vfc_iommufd_events(event_fds[0], 4, &next, out, data, 0));
	CHECK_EQ(vfc_iommufd_events(event_fds[1], 4, &next, out, data, 1), -EBADF);
	sys_fault_arm(1);
	CHECK_EQ(take(&next, out, data, 2), -ENOMEM);
	sys_fault_arm(2);
	CHECK_EQ(take(&next, out, data, 2), -EIO);
	sys_fault_arm(0);
}

static void map_and_unmap(int iommufd, uint32_t ioas, uint32_t other, int *rc)
{
	uint64_t iova = 0, second = 0, value;
	struct vfc_iova_range range = {0, 0xffff};
	uint32_t compat;

	note(rc, vfc_iommufd_option_set(iommufd, VFC_IOMMUFD_OPTION_HUGE_PAGES, ioas, 0));
	note(rc, vfc_iommufd_option_get(iommufd, VFC_IOMMUFD_OPTION_HUGE_PAGES, ioas, &value));
	note(rc, vfc_iommufd_compat_set(iommufd, ioas));
	note(rc, vfc_iommufd_compat_get(iommufd, &compat));
	note(rc, vfc_iommufd_ioas_ranges(iommufd, ioas, &range, 1, NULL));
	note(rc, vfc_iommufd_ioas_allow(iommufd, ioas, &range, 1));
	if (note(rc, vfc_iommufd_ioas_map(iommufd, ioas, page, PAGE, 0, &iova)) == 0) {
		note(rc, vfc_iommufd_ioas_copy(iommufd, other, ioas, iova, PAGE, 0, &second));
		if (note(rc, (int)vfc_iommufd_ioas_unmap(iommufd, ioas, iova, PAGE)) < 0)
			CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, ioas, iova, PAGE), PAGE);
	}
	if (note(rc, (int)vfc_iommufd_ioas_unmap(iommufd, ioas, 0, UINT64_MAX)) < 0)
		CHECK_EQ(vfc_iommufd_ioas_unmap(iommufd, ioas, 0, UINT64_MAX), 0); /* nothing is left */
}

static void destroy(int iommufd, uint32_t id, int *rc)
{
	if (note(rc, vfc_iommufd_destroy(iommufd, id)) < 0)
		CHECK_EQ(vfc_iommufd_destroy(iommufd, id), 0);
}

static int real_objects(void)
{
	uint32_t ioas, other, queue;
	int rc = 0, iommufd, fd;

	iommufd = note(&rc, vfc_iommufd_open());
	if (iommufd < 0)
		return rc;
	if (note(&rc, vfc_iommufd_ioas_alloc(iommufd, &ioas)) == 0) {
		if (note(&rc, vfc_iommufd_ioas_alloc(iommufd, &other)) == 0) {
			map_and_unmap(iommufd, ioas, other, &rc);
			destroy(iommufd, other, &rc);
		}
		destroy(iommufd, ioas, &rc);
	}
	if (note(&rc, vfc_iommufd_fault_queue_alloc(iommufd, &queue, &fd)) == 0) {
		CHECK_EQ(close(fd), 0);
		destroy(iommufd, queue, &rc);
	}
	/* How pins are counted is refused as long as there is an object. */
	if (note(&rc, vfc_iommufd_option_set(iommufd, VFC_IOMMUFD_OPTION_RLIMIT_MODE, 0, 1)) < 0)
		CHECK_EQ(vfc_iommufd_option_set(iommufd, VFC_IOMMUFD_OPTION_RLIMIT_MODE, 0, 1), 0);
	CHECK_EQ(close(iommufd), 0);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "real")) {
		sweep("iommufd", real_objects);
		return 0;
	}
	wrong_descriptors();
	bad_arguments();
	bad_dirty_ranges();
	faults();
	CHECK_EQ(pipe2(event_fds, O_NONBLOCK | O_CLOEXEC), 0);
	events();
	hostile_events();
	close(event_fds[0]);
	close(event_fds[1]);
	return 0;
}
