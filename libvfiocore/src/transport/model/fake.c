/* SPDX-License-Identifier: MIT */
/*
 * The fake transport: a VFIO device that exists in this process only, see vfiocore/fake.h. This
 * file plays the kernel (drivers/vfio/pci/vfio_pci_core.c, vfio_pci_config.c). A struct fake_model
 * plays the hardware, in one thread for each device.
 *
 * Limits of the model: registers are plain shared memory, which the thread looks at every few dozen
 * microseconds. So a read has no side effect, and of two writes to one register within that time
 * only the last is seen.
 */
#include "transport/model/fake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <vfiocore/fake.h>

#include "base/error.h"
#include "kernel/sys.h"
#include "transport/candidate.h"

#define PREFIX "fake:"
#define POLL_NS 30000
#define IDLE_POLL_NS 250000
#define IDLE_PASSES 2000 /* without work, before the thread sleeps longer */

static const struct fake_model *const models[] = {&fake_model_e1000e};

/* One pass of the model, with the lock held. A device that was pulled reads as all ones. */
static bool play_once(struct fake_device *device)
{
	bool busy = false;

	pthread_mutex_lock(&device->iommufd->lock);
	fake_irq_step(device);
	if (device->gone)
		memset(device->memory, 0xff, device->model->memory_length);
	else
		busy = device->model->step(device);
	pthread_mutex_unlock(&device->iommufd->lock);
	return busy;
}

static void *play(void *argument)
{
	struct fake_device *device = argument;
	unsigned idle = 0;

	while (!__atomic_load_n(&device->stop, __ATOMIC_ACQUIRE)) {
		idle = play_once(device) ? 0 : idle + 1;
		/* It sleeps after work, too: others want the lock, and a wire takes time. */
		sys_sleep(idle == 0 ? 1 : idle < IDLE_PASSES ? POLL_NS : IDLE_POLL_NS);
	}
	return NULL;
}

static int start_thread(struct fake_device *device)
{
	int rc = sys_thread(&device->thread, play, device, -1);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("pthread_create"),
				"the model needs a thread: ulimit -u, or the cgroup's pids.max");
	return 0;
}

static int find_model(const char *name, const struct fake_model **model)
{
	const char *wanted = strncmp(name, PREFIX, strlen(PREFIX)) ? name : name + strlen(PREFIX);
	char list[100] = "";

	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		*model = models[i];
		if (!strcmp(wanted, models[i]->name))
			return 0;
		strncat(list, i ? ", " PREFIX : PREFIX, sizeof(list) - strlen(list) - 1);
		strncat(list, models[i]->name, sizeof(list) - strlen(list) - 1);
	}
	return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, WHERE(.object = name),
			"there is no model \"%.30s\"; there is %s", wanted, list);
}

static void free_device(struct fake_device *device)
{
	if (device->memory)
		sys_munmap(device->memory, device->model->memory_length);
	sys_close(device->memory_fd);
	free(device->state);
	free(device);
}

/* A device with its registers in shared memory, so that they can be mapped like those of a BAR. */
static int create(const struct fake_model *model, struct fake_device **out)
{
	struct fake_device *device = sys_alloc(sizeof(*device));
	void *memory;
	int rc;

	if (!device)
		return vfc_no_memory();
	device->base.ops = &transport_fake;
	device->model = model;
	device->irq_type = -1;
	device->link = true;
	device->memory_fd = -1;
	fake_irq_forget(device);
	device->state = sys_alloc(model->state_size);
	if (!device->state) {
		free_device(device);
		return vfc_no_memory();
	}
	rc = device->memory_fd = sys_memfd("vfiocore-fake", model->memory_length);
	if (rc >= 0)
		rc = sys_mmap(model->memory_length, PROT_READ | PROT_WRITE, MAP_SHARED,
			      device->memory_fd, 0, &memory);
	if (rc < 0) {
		free_device(device);
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("memfd_create"),
				"the model's register memory cannot be had");
	}
	device->memory = memory;
	*out = device;
	return 0;
}

/* The space is below this file and does not know the table that it becomes part of. */
static int space_open(struct transport_space *beside, bool dirty, int fd,
		      struct transport_space **out)
{
	int rc = fake_space_open(beside, dirty, fd, out);

	if (rc == 0)
		(*out)->ops = &transport_fake;
	return rc;
}

static bool is_fake(struct candidate *device)
{
	return device && !strncmp(device->name, PREFIX, strlen(PREFIX));
}

static int check_model(struct candidate *device)
{
	const struct fake_model *model;

	return find_model(device->name, &model);
}

/* The device joins its space, and its thread starts. */
static int bring_to_life(struct fake_device *device)
{
	int rc;

	pthread_mutex_lock(&device->iommufd->lock);
	rc = fake_enter(device, device->space);
	pthread_mutex_unlock(&device->iommufd->lock);
	if (rc < 0)
		return rc;
	rc = start_thread(device);
	if (rc < 0)
		fake_detach(&device->base);
	return rc;
}

static int fake_open(struct candidate *wanted, const uint8_t *token, struct transport_space *space,
		       struct transport_device **out)
{
	const struct fake_model *model;
	struct fake_device *device = NULL;
	int rc = find_model(wanted->name, &model);

	if (rc == 0)
		rc = fake_token_check(((struct fake_space *)space)->iommufd, wanted->name, token);
	if (rc < 0)
		return rc;
	rc = create(model, &device);
	if (rc < 0)
		return rc;
	device->space = (struct fake_space *)space;
	device->iommufd = device->space->iommufd;
	model->config(device->config, device->writable);
	model->reset(device);
	rc = bring_to_life(device);
	if (rc < 0) {
		free_device(device);
		return rc;
	}
	*out = &device->base;
	return 0;
}

static int device_give_back(struct transport_device *base)
{
	struct fake_device *device = (struct fake_device *)base;

	pthread_mutex_lock(&device->iommufd->lock);
	fake_leave(device);
	device->released = true;
	fake_irq_forget(device);
	pthread_mutex_unlock(&device->iommufd->lock);
	return 0;
}

static void device_close(struct transport_device *base)
{
	struct fake_device *device = (struct fake_device *)base;

	__atomic_store_n(&device->stop, true, __ATOMIC_RELEASE);
	pthread_join(device->thread, NULL);
	pthread_mutex_lock(&device->iommufd->lock);
	fake_leave(device);
	pthread_mutex_unlock(&device->iommufd->lock);
	free_device(device);
}

static int device_group(struct transport_device *base)
{
	(void)base;
	return -1;
}

static int device_info(struct transport_device *base, struct vfio_device_info *info)
{
	(void)base;
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
	info->num_regions = FAKE_REGIONS;
	info->num_irqs = FAKE_IRQS;
	return 0;
}

static void put_areas(struct vfio_region_info *info, const struct fake_region *region)
{
	struct vfio_region_info_cap_sparse_mmap *cap = (void *)(info + 1);

	info->cap_offset = sizeof(*info);
	cap->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	cap->header.version = 1;
	cap->nr_areas = region->area_count;
	memcpy(cap->areas, region->areas, region->area_count * sizeof(region->areas[0]));
}

static int region_info(struct transport_device *base, uint32_t index,
		       struct vfio_region_info **out)
{
	const struct fake_device *device = (const struct fake_device *)base;
	struct vfio_region_info *info;
	const struct fake_region *region;
	size_t length = sizeof(*info);

	/* Only VGA controllers have a VGA region. Linux answers others as if there were no such index. */
	if (index >= VFIO_PCI_VGA_REGION_INDEX)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE("VFIO_DEVICE_GET_REGION_INFO"),
				"the device has regions 0 to %d", VFIO_PCI_VGA_REGION_INDEX - 1);
	region = &device->model->regions[index];
	if (region->area_count)
		length += sizeof(struct vfio_region_info_cap_sparse_mmap) +
			  region->area_count * sizeof(region->areas[0]);
	info = sys_alloc(length);
	if (!info)
		return vfc_no_memory();
	info->argsz = (uint32_t)length;
	info->index = index;
	info->flags = region->flags;
	info->size = region->length;
	info->offset = (uint64_t)index << FAKE_OFFSET_SHIFT;
	if (region->area_count)
		put_areas(info, region);
	*out = info;
	return 0;
}

static int reset_device(struct transport_device *base)
{
	struct fake_device *device = (struct fake_device *)base;
	bool gone;

	if (device->released)
		return fake_released("VFIO_DEVICE_RESET");
	pthread_mutex_lock(&device->iommufd->lock);
	gone = device->gone;
	if (!gone) {
		/* The kernel saves config space around a reset and forgets the eventfds. */
		device->model->reset(device);
		fake_irq_forget(device);
		device->resets++;
	}
	pthread_mutex_unlock(&device->iommufd->lock);
	return gone ? vfc_fail(EIO, VFC_REASON_GONE, WHERE("VFIO_DEVICE_RESET"),
			       "the device was pulled (VFC_FAKE_GONE)")
		    : 0;
}

/* The device is alone on its bus, unless VFC_FAKE_STRANGER puts a device of somebody else there. */
static int hot_reset_info(struct transport_device *base, struct vfio_pci_hot_reset_info **out)
{
	struct fake_device *device = (struct fake_device *)base;
	uint32_t count = device->stranger ? 2 : 1;
	struct vfio_pci_hot_reset_info *info =
		sys_alloc(sizeof(*info) + count * sizeof(info->devices[0]));

	if (!info)
		return vfc_no_memory();
	info->flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	info->count = count;
	info->devices[0].devid = 1;
	if (device->stranger) {
		info->devices[1].devid = (uint32_t)VFIO_PCI_DEVID_NOT_OWNED;
		info->devices[1].devfn = 1;
	}
	*out = info;
	return 0;
}

static bool owns_device(struct transport_device *base, const struct vfio_pci_hot_reset_info *info,
		 uint32_t element)
{
	(void)base;
	return (int32_t)info->devices[element].devid != VFIO_PCI_DEVID_NOT_OWNED;
}

/* Config space is in the kernel's hands, so it can be read and written in every power state. */
static int config_access(struct fake_device *device, uint64_t offset, void *in, const void *out,
			 size_t length)
{
	const uint8_t *from = out;

	pthread_mutex_lock(&device->iommufd->lock);
	fake_wake(device);
	if (in && device->gone)
		memset(in, 0xff, length);
	else if (in)
		memcpy(in, device->config + offset, length);
	for (size_t i = 0; out && !device->gone && i < length; i++) {
		uint8_t mask = device->writable[offset + i], *byte = device->config + offset + i;

		*byte = (uint8_t)((*byte & ~mask) | (from[i] & mask));
	}
	pthread_mutex_unlock(&device->iommufd->lock);
	return 0;
}

/* The model's thread uses the registers, too: an access of a register's width is one access. */
static void copy_register(void *to, const void *from, size_t length)
{
	uintptr_t align = (uintptr_t)to | (uintptr_t)from | length;

	if (length == 8 && !(align & 7))
		*(volatile uint64_t *)to = *(const volatile uint64_t *)from;
	else if (length == 4 && !(align & 3))
		*(volatile uint32_t *)to = *(const volatile uint32_t *)from;
	else
		memcpy(to, from, length);
}

/* pread() where @in is given, else pwrite(), with the checks of vfio_pci_rw(). */
static int access_region(struct fake_device *device, uint64_t position, void *in, const void *out,
			 size_t length)
{
	struct error_where where = WHERE(in ? "pread" : "pwrite", .length = length);
	uint64_t index = position >> FAKE_OFFSET_SHIFT;
	uint64_t offset = position & ((UINT64_C(1) << FAKE_OFFSET_SHIFT) - 1);
	uint32_t flag = in ? VFIO_REGION_INFO_FLAG_READ : VFIO_REGION_INFO_FLAG_WRITE;
	const struct fake_region *region;

	if (device->released)
		return fake_released(where.call);
	if (index >= FAKE_REGIONS)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, where, "there is no region %" PRIu64, index);
	region = &device->model->regions[index];
	if (offset > region->length || length > region->length - offset)
		return vfc_fail(EINVAL, VFC_REASON_RANGE, where,
				"region %" PRIu64 " has %" PRIu64 " bytes", index, region->length);
	if (!(region->flags & flag))
		return vfc_fail(EINVAL, VFC_REASON_UNSUPPORTED, where,
				"region %" PRIu64 " cannot be accessed so", index);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return config_access(device, offset, in, out, length);
	if (!fake_decodes(device))
		return vfc_fail(EIO, VFC_REASON_DECODING, where,
				"memory decoding is off (PCI Command register bit 1), or it is in D3hot");
	if (in)
		copy_register(in, device->memory + region->memory + offset, length);
	else if (out)
		copy_register(device->memory + region->memory + offset, out, length);
	return 0;
}

static int device_read(struct transport_device *base, uint64_t position, void *data, size_t length)
{
	return access_region((struct fake_device *)base, position, data, NULL, length);
}

static int device_write(struct transport_device *base, uint64_t position, const void *data,
			size_t length)
{
	return access_region((struct fake_device *)base, position, NULL, data, length);
}

/* Whether the range lies in a region, or in one of the areas of it, that can be mapped. */
static bool mappable(const struct fake_region *region, uint64_t offset, uint64_t length)
{
	if (!(region->flags & VFIO_REGION_INFO_FLAG_MMAP) || offset > region->length ||
	    length > region->length - offset)
		return false;
	for (uint32_t i = 0; i < region->area_count; i++) {
		const struct vfio_region_sparse_mmap_area *area = &region->areas[i];

		if (offset >= area->offset && length <= area->size &&
		    offset - area->offset <= area->size - length)
			return true;
	}
	return !region->area_count;
}

static int device_mmap(struct transport_device *base, uint64_t position, size_t length,
		       int protection, void **address)
{
	struct fake_device *device = (struct fake_device *)base;
	uint64_t index = position >> FAKE_OFFSET_SHIFT;
	uint64_t offset = position & ((UINT64_C(1) << FAKE_OFFSET_SHIFT) - 1);
	const struct fake_region *region = &device->model->regions[index % FAKE_REGIONS];
	int rc;

	if (device->released)
		return fake_released("mmap");
	if (index >= FAKE_REGIONS || !mappable(region, offset, length))
		return vfc_fail(EINVAL, VFC_REASON_RANGE, WHERE("mmap", .length = length),
				"this part of region %" PRIu64 " cannot be mapped", index);
	rc = sys_mmap(length, protection, MAP_SHARED, device->memory_fd, region->memory + offset,
		      address);
	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("mmap", .length = length),
				"the model's registers cannot be mapped");
	return 0;
}

const struct transport transport_fake = {
	.name = "fake",
	.space_open = space_open,
	.space_close = fake_space_close,
	.space_info = fake_space_info,
	.map = fake_map,
	.unmap = fake_unmap,
	.related = fake_related,
	.dirty_track = fake_dirty_track,
	.dirty_read = fake_dirty_read,
	.usable = is_fake,
	.check = check_model,
	.open = fake_open,
	.close = device_close,
	.reserved = fake_reserved,
	.give_back = device_give_back,
	.attach = fake_attach,
	.detach = fake_detach,
	.group = device_group,
	.device_info = device_info,
	.region_info = region_info,
	.irq_info = fake_irq_info,
	.set_irqs = fake_set_irqs,
	.reset = reset_device,
	.hot_reset_info = hot_reset_info,
	.owns = owns_device,
	.hot_reset = reset_device,
	.feature = fake_feature,
	.read = device_read,
	.write = device_write,
	.mmap = device_mmap,
};

