/* SPDX-License-Identifier: MIT */
/*
 * A device's descriptor, of its own node or of its group: drivers/vfio/{vfio_main,device_cdev}.c and
 * drivers/vfio/pci/vfio_pci_core.c. Regions are memory behind the descriptor: read, written and mapped
 * as the real ones are, region n from n << 40 on.
 */
#include <errno.h>
#include <string.h>

#include "mock.h"
#include "test.h"

#define REGIONS 9
#define IRQS 5
#define BAR_SIZE 0x10000
#define CONFIG 7

static struct mock_device *of(const struct mock_file *file)
{
	return &mock.devices[file->index];
}

static int get_info(struct vfio_device_info *info)
{
	if (info->argsz < offsetof(struct vfio_device_info, cap_offset))
		return -EINVAL;
	info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info->num_regions = REGIONS;
	info->num_irqs = IRQS;
	return 0;
}

/* BAR 0 and config space; BAR 0 with a chain of capabilities if the test wants one. */
static int region_info(const struct mock_file *file, struct vfio_region_info *info)
{
	uint32_t caps = info->index == 0 ? of(file)->caps : 0, room = info->argsz;
	struct vfio_info_cap_header header = {VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1, 0};

	if (room < sizeof(*info) || info->index >= REGIONS || info->index == 8)
		return -EINVAL; /* no VGA here */
	info->offset = (uint64_t)info->index << 40;
	info->size = info->index == CONFIG ? 256 : info->index ? 0 : BAR_SIZE;
	info->flags = info->size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	info->flags |= info->index == 0 ? VFIO_REGION_INFO_FLAG_MMAP : 0;
	info->cap_offset = 0;
	if (!caps)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->argsz = sizeof(*info) + caps;
	if (room < info->argsz)
		return 0;
	info->cap_offset = sizeof(*info);
	memcpy(info + 1, &header, sizeof(header));
	return 0;
}

static int irq_info(struct vfio_irq_info *info)
{
	static const uint32_t counts[IRQS] = {1, 1, 4, 0, 1}; /* INTx, MSI, MSI-X, ERR, REQ */

	if (info->argsz < sizeof(*info) || info->index >= IRQS || info->index == 3)
		return -EINVAL; /* no ERR on conventional PCI */
	info->count = counts[info->index];
	info->flags = VFIO_IRQ_INFO_EVENTFD | (info->index == 1 || info->index == 2
						       ? VFIO_IRQ_INFO_NORESIZE : 0);
	return 0;
}

static int set_irqs(const struct vfio_irq_set *set)
{
	if (set->index >= IRQS)
		return -EINVAL;
	mock_note("irqs %u %x %u+%u;", set->index, set->flags, set->start, set->count);
	return 0;
}

/* The device itself and its neighbour on the bus, if there is one. */
static int hot_reset_info(const struct mock_file *file, struct vfio_pci_hot_reset_info *info)
{
	uint32_t room = (info->argsz - (uint32_t)sizeof(*info)) / (uint32_t)sizeof(info->devices[0]);
	struct mock_file *iommufd = of(file)->iommufd;
	uint32_t count = 0;

	for (int i = 0; i < MOCK_DEVICES; i++) {
		const struct mock_device *device = &mock.devices[i];
		struct vfio_pci_dependent_device it = {.bus = (uint8_t)(i + 1)};

		if (!device->name)
			continue;
		if (!iommufd)
			it.group_id = (uint32_t)device->group;
		else
			it.devid = device->iommufd == iommufd ? device->id
				   : (uint32_t)VFIO_PCI_DEVID_NOT_OWNED;
		if (count < room)
			info->devices[count] = it;
		count++;
	}
	info->count = count;
	info->flags = iommufd ? VFIO_PCI_HOT_RESET_FLAG_DEV_ID : 0;
	return count > room ? -ENOSPC : 0;
}

static int hot_reset(const struct vfio_pci_hot_reset *reset)
{
	for (uint32_t i = 0; i < reset->count; i++) {
		struct mock_file *group = mock_file(reset->group_fds[i]);

		if (!group || group->kind != MOCK_GROUP)
			return -EINVAL;
		mock_note("with %d;", mock.groups[group->index].number);
	}
	mock_note("hot reset;");
	return 0;
}

static int feature(struct vfio_device_feature *request)
{
	switch (request->flags) {
	case VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF:
		mock_note("dma-buf;");
		return mock_new_fd(mock_new_file(MOCK_BUFFER, 0), -1);
	case VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return 0;
	default:
		return -ENOTTY;
	}
}

static int bind(struct mock_file *file, struct vfio_device_bind_iommufd *request)
{
	struct mock_device *device = of(file);
	struct mock_file *iommufd = mock_file(request->iommufd);
	bool unviable = device->group >= 0 && mock.groups[mock_find_group(device->group)].unviable;

	if (device->iommufd || file->type)
		return -EINVAL;
	if (!iommufd || iommufd->kind != MOCK_IOMMUFD)
		return iommufd ? -EINVAL : -EBADF;
	if (unviable || (device->group >= 0 && mock.groups[mock_find_group(device->group)].opened))
		return -EBUSY;
	device->iommufd = iommufd;
	mock_hold(iommufd);
	file->type = 1; /* access_granted */
	device->id = request->out_devid = mock_object(iommufd, VFIO_DEVICE_BIND_IOMMUFD, 0);
	mock_note("bind vfio%d%s;", file->index,
		  request->flags & VFIO_DEVICE_BIND_FLAG_TOKEN ? " by token" : "");
	return 0;
}

/* A table that the kernel makes by itself goes with its last user. */
static void leave_table(struct mock_file *iommufd, uint32_t *table)
{
	uint32_t id = *table, parent;

	*table = 0;
	if (!id || --iommufd->objects[id].users)
		return;
	if (iommufd->objects[id].flags != UINT32_MAX)
		return;
	parent = iommufd->objects[id].parent;
	iommufd->objects[id].kind = 0;
	iommufd->objects[parent].users--;
}

/* Devices without a table of their own kind share the one of their IOAS. */
static uint32_t find_table(struct mock_file *iommufd, uint32_t pt)
{
	uint32_t id;

	if (mock_is(iommufd, pt, IOMMU_HWPT_ALLOC))
		return pt;
	for (id = 1; id < MOCK_OBJECTS; id++)
		if (mock_is(iommufd, id, IOMMU_HWPT_ALLOC) && iommufd->objects[id].parent == pt &&
		    iommufd->objects[id].flags == UINT32_MAX)
			return id;
	id = mock_object(iommufd, IOMMU_HWPT_ALLOC, pt);
	iommufd->objects[id].flags = UINT32_MAX;
	return id;
}

static int attach(struct mock_file *file, struct vfio_device_attach_iommufd_pt *request)
{
	struct mock_device *device = of(file);
	bool pasid = request->flags & VFIO_DEVICE_ATTACH_PASID;
	uint32_t *table = pasid ? &device->pasid_table : &device->table, id;

	if (!mock_is(device->iommufd, request->pt_id, IOMMU_IOAS_ALLOC) &&
	    !mock_is(device->iommufd, request->pt_id, IOMMU_HWPT_ALLOC))
		return -ENOENT;
	mock_note("attach vfio%d%s to %u;", file->index, pasid ? ".pasid" : "", request->pt_id);
	id = find_table(device->iommufd, request->pt_id);
	device->iommufd->objects[id].users++;
	leave_table(device->iommufd, table);
	*table = request->pt_id = id;
	device->pasid = pasid ? request->pasid : device->pasid;
	return 0;
}

static int detach(struct mock_file *file, const struct vfio_device_detach_iommufd_pt *request)
{
	struct mock_device *device = of(file);
	bool pasid = request->argsz > offsetof(struct vfio_device_detach_iommufd_pt, pasid) &&
		     request->flags & VFIO_DEVICE_DETACH_PASID;

	mock_note("detach vfio%d%s;", file->index, pasid ? ".pasid" : "");
	leave_table(device->iommufd, pasid ? &device->pasid_table : &device->table);
	return 0;
}

/* It detaches, unbinds, and lets go of its group. */
void mock_device_gone(struct mock_file *file)
{
	struct mock_device *device = of(file);
	struct mock_file *iommufd = device->iommufd;

	device->opened--;
	if (file->kind == MOCK_DEVICE) {
		mock_note("close %s;", device->name);
		mock_put(mock.groups[mock_find_group(device->group)].opened);
		return;
	}
	mock_note("close vfio%d;", file->index);
	if (!file->type)
		return;
	leave_table(iommufd, &device->table);
	leave_table(iommufd, &device->pasid_table);
	iommufd->objects[device->id].kind = 0;
	device->id = 0;
	device->iommufd = NULL;
	mock_put(iommufd);
}

int mock_device(struct mock_file *file, unsigned long request, void *argument)
{
	if (file->kind == MOCK_CDEV && request == VFIO_DEVICE_BIND_IOMMUFD)
		return bind(file, argument);
	if (file->kind == MOCK_CDEV && !file->type)
		return -EINVAL; /* until it is bound: vfio_device_fops_unl_ioctl() */
	if (file->kind == MOCK_CDEV && request == VFIO_DEVICE_ATTACH_IOMMUFD_PT)
		return attach(file, argument);
	if (file->kind == MOCK_CDEV && request == VFIO_DEVICE_DETACH_IOMMUFD_PT)
		return detach(file, argument);
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		return get_info(argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(file, argument);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(argument);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(argument);
	case VFIO_DEVICE_RESET:
		mock_note("reset;");
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return hot_reset_info(file, argument);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return hot_reset(argument);
	case VFIO_DEVICE_IOEVENTFD:
		mock_note("ioeventfd;");
		return 0;
	case VFIO_DEVICE_FEATURE:
		return feature(argument);
	default:
		return -ENOTTY;
	}
}
