/* SPDX-License-Identifier: MIT */
/*
 * Queues of page faults and of a vIOMMU's events.
 * Source: drivers/iommu/iommufd/eventq.c.
 */
#include <stdlib.h>
#include <string.h>
#include <vfiocore/iommufd.h>

#include "iommufd/request.h"

/* Faults and responses are read and written without conversion, so their layouts must agree. */
#define SAME(ours, our_field, theirs, their_field)                                            \
	_Static_assert(offsetof(struct ours, our_field) == offsetof(struct theirs, their_field), \
		       #ours "." #our_field)
SAME(vfc_iommufd_fault, flags, iommu_hwpt_pgfault, flags);
SAME(vfc_iommufd_fault, device, iommu_hwpt_pgfault, dev_id);
SAME(vfc_iommufd_fault, pasid, iommu_hwpt_pgfault, pasid);
SAME(vfc_iommufd_fault, group, iommu_hwpt_pgfault, grpid);
SAME(vfc_iommufd_fault, access, iommu_hwpt_pgfault, perm);
SAME(vfc_iommufd_fault, address, iommu_hwpt_pgfault, addr);
SAME(vfc_iommufd_fault, length, iommu_hwpt_pgfault, length);
SAME(vfc_iommufd_fault, cookie, iommu_hwpt_pgfault, cookie);
SAME(vfc_iommufd_response, cookie, iommu_hwpt_page_response, cookie);
SAME(vfc_iommufd_response, code, iommu_hwpt_page_response, code);
_Static_assert(sizeof(struct vfc_iommufd_fault) == sizeof(struct iommu_hwpt_pgfault), "fault");
_Static_assert(sizeof(struct vfc_iommufd_response) == sizeof(struct iommu_hwpt_page_response),
	       "response");

/*
 * The most records asked for in one call, so that their number fits into an int. Further records
 * stay in the queue.
 */
#define BATCH_MAX 65536

/* A queue is an object and a descriptor. Return both, or destroy the object. */
static int new_queue(int iommufd, uint32_t id, uint32_t fd, uint32_t *queue, int *out,
		     struct error_where where)
{
	struct iommu_destroy destroy = {.size = sizeof(destroy), .id = id};

	if (fd > INT32_MAX) {
		sys_ioctl(iommufd, IOMMU_DESTROY, &destroy);
		return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, where,
				"the kernel handed over %u as a descriptor", fd);
	}
	*queue = id;
	*out = (int)fd;
	return 0;
}

int vfc_iommufd_fault_queue_alloc(int iommufd, uint32_t *queue, int *fd)
{
	struct iommu_fault_alloc request = {.size = sizeof(request)};
	int rc;

	if (!queue || !fd)
		return vfc_done(request_invalid("queue or fd is NULL"));
	rc = request_make(iommufd, REQUEST(IOMMU_FAULT_QUEUE_ALLOC, "6.11"), &request, NOWHERE, NULL);
	if (rc < 0)
		return vfc_done(rc);
	return vfc_done(new_queue(iommufd, request.out_fault_id, request.out_fault_fd, queue, fd,
				  WHERE("IOMMU_FAULT_QUEUE_ALLOC")));
}

int vfc_iommufd_event_queue_alloc(int iommufd, uint32_t viommu, uint32_t type, uint32_t depth,
				  uint32_t *queue, int *fd)
{
	static const struct meaning meanings[] = {
		{ENOENT, VFC_REASON_NONE, "the iommufd has no such vIOMMU"},
		{EEXIST, VFC_REASON_BUSY, "the vIOMMU has a queue for events of that type already"},
		{EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "there is no such type of events"},
		{EINVAL, VFC_REASON_ARGUMENT, "the depth is 1 to 524288 events"},
		{0},
	};
	struct iommu_veventq_alloc request = {
		.size = sizeof(request),
		.viommu_id = viommu,
		.type = type,
		.veventq_depth = depth,
	};
	int rc;

	if (!queue || !fd)
		return vfc_done(request_invalid("queue or fd is NULL"));
	rc = request_make(iommufd, REQUEST(IOMMU_VEVENTQ_ALLOC, "6.15"), &request,
			  WHERE(.object = OBJECT("viommu", viommu)), meanings);
	if (rc < 0)
		return vfc_done(rc);
	return vfc_done(new_queue(iommufd, request.out_veventq_id, request.out_veventq_fd, queue, fd,
				  WHERE("IOMMU_VEVENTQ_ALLOC")));
}

static int malformed(const char *call, ssize_t n)
{
	return vfc_fail(EBADMSG, VFC_REASON_MALFORMED, WHERE(call, .length = (uint64_t)n),
			"what came is not made of whole records: is this the queue's descriptor, and "
			"the size of its records right?");
}

/* Is this the answer of an empty queue or of a pipe? Neither has anything to give now. */
static bool is_empty(ssize_t n)
{
	return n == 0 || n == -EAGAIN;
}

int vfc_iommufd_faults(int queue, struct vfc_iommufd_fault *faults, uint32_t count)
{
	ssize_t n;

	if (!faults || !count)
		return vfc_done(request_invalid("faults is NULL, or count is 0"));
	if (count > BATCH_MAX)
		count = BATCH_MAX;
	n = sys_read(queue, faults, count * sizeof(*faults));
	if (is_empty(n))
		return 0;
	if (n == -EINVAL)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE("read"),
					 "the next group has more faults than %u, which are taken together "
					 "only; or the descriptor is no fault queue's",
					 count));
	if (n < 0)
		return vfc_done(vfc_fail((int)n, VFC_REASON_NONE, WHERE("read"),
					 "the descriptor is not that of a fault queue"));
	if (n % (ssize_t)sizeof(*faults) || (size_t)n > count * sizeof(*faults))
		return vfc_done(malformed("read", n));
	return (int)(n / (ssize_t)sizeof(*faults));
}

int vfc_iommufd_respond(int queue, const struct vfc_iommufd_response *responses, uint32_t count)
{
	ssize_t n;

	if (!responses || !count)
		return vfc_done(request_invalid("responses is NULL, or count is 0"));
	if (count > BATCH_MAX)
		count = BATCH_MAX;
	n = sys_write(queue, responses, count * sizeof(*responses));
	if (n == -EINVAL)
		return vfc_done(vfc_fail(EINVAL, VFC_REASON_ARGUMENT, WHERE("write"),
					 "no group of faults waits with cookie %u (it is answered once, "
					 "after it was read), or its code %u is not one there is",
					 responses->cookie, responses->code));
	if (n < 0)
		return vfc_done(vfc_fail((int)n, VFC_REASON_NONE, WHERE("write"),
					 "the descriptor is not that of a fault queue"));
	return (int)(n / (ssize_t)sizeof(*responses));
}

#define SEQUENCE_MASK INT32_MAX

/*
 * Parse the record of one event into @event and @data. Return its bytes; 0: there is no whole
 * record.
 */
static size_t parse_event(const uint8_t *bytes, size_t length, uint32_t data_size, uint32_t *next,
			  struct vfc_iommufd_event *event, uint8_t *data)
{
	struct iommufd_vevent_header header;
	bool lost;

	if (length < sizeof(header))
		return 0;
	memcpy(&header, bytes, sizeof(header));
	lost = header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
	if (header.sequence > SEQUENCE_MASK || (!lost && length - sizeof(header) < data_size))
		return 0;
	*event = (struct vfc_iommufd_event){
		.flags = lost ? VFC_IOMMUFD_EVENT_LOST : 0,
		.sequence = header.sequence,
		/*
		 * The record that tells of losses has the number of the latest event that was lost.
		 */
		.lost = (header.sequence - *next + lost) & SEQUENCE_MASK,
		.length = lost ? 0 : data_size,
	};
	if (event->length)
		memcpy(data, bytes + sizeof(header), event->length);
	*next = (header.sequence + 1) & SEQUENCE_MASK;
	return sizeof(header) + event->length;
}

static int parse_events(const uint8_t *bytes, size_t length, uint32_t data_size, uint32_t *next,
			struct vfc_iommufd_event *events, uint8_t *data, uint32_t count)
{
	struct vfc_iommufd_event over;
	uint32_t n = 0, ignored = *next;

	while (length) {
		size_t used = n < count ? parse_event(bytes, length, data_size, next, &events[n],
						      data + (size_t)n * data_size)
					: parse_event(bytes, length, 0, &ignored, &over, NULL);

		/*
		 * The record of a loss is short, so there may be room for one record too many. It
		 * can be dropped, because the next event shows the gap as well.
		 */
		if (!used || (n == count && !(over.flags & VFC_IOMMUFD_EVENT_LOST)))
			return malformed("read", (ssize_t)length);
		bytes += used;
		length -= used;
		n += n < count;
	}
	return (int)n;
}

int vfc_iommufd_events(int queue, uint32_t data_size, uint32_t *next,
		       struct vfc_iommufd_event *events, void *data, uint32_t count)
{
	size_t record = sizeof(struct iommufd_vevent_header) + data_size, length;
	uint8_t *bytes;
	ssize_t n;
	int rc;

	if (!next || !events || !data || !count || !data_size || data_size > BATCH_MAX)
		return vfc_done(request_invalid("next, events or data is NULL, count is 0, or data_size is "
						"not 1 to 65536 bytes"));
	if (count > BATCH_MAX / record + 1)
		count = (uint32_t)(BATCH_MAX / record + 1);
	length = count * record;
	bytes = sys_alloc(length);
	if (!bytes)
		return vfc_done(vfc_no_memory());
	n = sys_read(queue, bytes, length);
	if (is_empty(n))
		rc = 0;
	else if (n < 0)
		rc = vfc_fail((int)n, n == -EINVAL ? VFC_REASON_ARGUMENT : VFC_REASON_NONE,
			      WHERE("read"),
			      "the descriptor is not that of an event queue, or its events have more than "
			      "%u bytes of data",
			      data_size);
	else
		rc = parse_events(bytes, (size_t)n, data_size, next, events, data, count);
	free(bytes);
	return vfc_done(rc);
}
