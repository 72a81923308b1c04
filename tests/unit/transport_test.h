/* SPDX-License-Identifier: MIT */
/* Spaces and devices of the mock kernel's machine, through the public functions. */
#ifndef VFC_TRANSPORT_TEST_H
#define VFC_TRANSPORT_TEST_H

#include <errno.h>
#include <string.h>
#include <vfiocore.h>

#include "mock/mock.h"
#include "test.h"

#define PAGE MOCK_PAGE
#define FIRST "0000:01:00.0"
#define SECOND "0000:02:00.0"

static inline struct vfc_iommu *open_space(const char *transport)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = transport};
	struct vfc_iommu *space;

	CHECK_EQ(vfc_iommu_open(&opts, &space), 0);
	return space;
}

static inline int try_open(struct vfc_iommu *space, const char *name, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .iommu = space};

	return vfc_device_open(name, &opts, device);
}

/* In a space of its own. */
static inline int try_alone(const char *transport, const char *name, struct vfc_device **device)
{
	struct vfc_device_opts opts = {.size = sizeof(opts), .transport = transport};

	return vfc_device_open(name, &opts, device);
}

static inline struct vfc_device *open_in(struct vfc_iommu *space, const char *name)
{
	struct vfc_device *device;

	CHECK_EQ(try_open(space, name, &device), 0);
	return device;
}

/* @rc failed with this errno and reason, and the hint says this. */
static inline void refused_at(const char *file, int line, int64_t rc, int code, enum vfc_reason reason,
			      const char *hint)
{
	const struct vfc_error *record = vfc_error_last();

	if (rc != -code || record->code != code || record->reason != reason ||
	    !strstr(record->hint, hint) || strncmp(record->operation, "vfc_", 4)) {
		fprintf(stderr, "wanted: -%d, reason %d, \"%s\"; got %" PRId64 ", reason %d\n", code, reason,
			hint, rc, record->reason);
		test_failed(file, line, "refused as the record says");
	}
}

#define REFUSED(rc, code, reason, hint) refused_at(__FILE__, __LINE__, (rc), (code), (reason), (hint))

#endif
