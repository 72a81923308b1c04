// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions of vfc_device: the registers, and memory of the kernel behind all others.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "vfc_device.h"

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define MAPPED (RW | VFIO_REGION_INFO_FLAG_MMAP)
#define PAGES(n) ((n) * 4096)

const struct region_spec many_regions[MANY_REGIONS] = {
	[0] = {PAGES(1), RW},
	[1] = {PAGES(8), MAPPED, .nr_areas = 2, .areas = {{0, PAGES(2)}, {PAGES(4), PAGES(4)}}},
	[2] = {PAGES(1), RW, .type = VFIO_REGION_TYPE_GFX, .subtype = VFIO_REGION_SUBTYPE_GFX_EDID},
	[3] = {PAGES(1), VFIO_REGION_INFO_FLAG_READ},
	[4] = {PAGES(1), VFIO_REGION_INFO_FLAG_WRITE},
	[5] = {0x1804, RW},	/* no whole pages, and an end that no 8 bytes reach */
	[6] = {3, RW},
	[7] = {PAGES(2), MAPPED},
	[8] = {0, 0},		/* there is none of that index */
	[9] = {PAGES(1), RW, .type = VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x1234, .subtype = 77},
	[10] = {PAGES(4), MAPPED, .nr_areas = 1, .areas = {{0x800, PAGES(2)}}}, /* one whole page */
	[11] = {PAGES(4), MAPPED},
};

const struct region_spec registers_only[1] = {{PAGES(1), RW}};

int regions_init(struct vfc *vfc)
{
	const struct region_spec *spec;

	vfc->memory = kcalloc(vfc->personality->nr_regions, sizeof(*vfc->memory), GFP_KERNEL);
	if (!vfc->memory)
		return -ENOMEM;
	for (u32 i = 1; i < vfc->personality->nr_regions; i++) {
		spec = &vfc->personality->regions[i];
		vfc->memory[i] = spec->size ? vmalloc_user(PAGE_ALIGN(spec->size)) : NULL;
		if (spec->size && !vfc->memory[i]) {
			regions_free(vfc);
			return -ENOMEM;
		}
	}
	return 0;
}

void regions_free(struct vfc *vfc)
{
	for (u32 i = 1; i < vfc->personality->nr_regions; i++)
		vfree(vfc->memory[i]);
	kfree(vfc->memory);
}

/* A register was written, with the lock held. */
static void written(struct vfc *vfc, u32 at, u32 value)
{
	u32 *registers = vfc->registers, index = registers[REG_INDEX / 4];
	u32 first = registers[REG_FIRST / 4];

	switch (at) {
	case REG_INDEX:
	case REG_FIRST:
	case REG_SRC ... REG_LENGTH:
		registers[at / 4] = value;
		break;
	case REG_RAISE:
		irqs_raise(vfc, index, first, value);
		break;
	case REG_STORM:
		while (value--)
			irqs_raise(vfc, index, first, 1);
		break;
	case REG_LEVEL:
		registers[at / 4] += value;
		irqs_level(vfc);
		break;
	case REG_ACK:
		registers[REG_LEVEL / 4] -= !!registers[REG_LEVEL / 4];
		break;
	case REG_COMMAND:
		registers[REG_RESULT / 4] = -dma_command(vfc, value);
		break;
	}
}

static int access_register(struct vfc *vfc, u32 at, size_t count, void *data, bool write)
{
	__le32 word;

	if (count != 4 || at % 4 || at / 4 >= REG_WORDS)
		return -EINVAL;
	mutex_lock(&vfc->lock);
	vfc->registers[REG_PINNED / 4] = vfc->pinned;
	vfc->registers[REG_UNMAPS / 4] = vfc->unmaps;
	word = cpu_to_le32(vfc->registers[at / 4]);
	if (write)
		written(vfc, at, le32_to_cpup(data));
	else
		memcpy(data, &word, sizeof(word));
	mutex_unlock(&vfc->lock);
	return 0;
}

/* Which region, if it allows @flag there. */
static const struct region_spec *find_region(struct vfc *vfc, u64 position, size_t count, u32 flag)
{
	u64 offset = position & (BIT_ULL(REGION_SHIFT) - 1), index = position >> REGION_SHIFT;
	const struct region_spec *spec = &vfc->personality->regions[index];

	if (index >= vfc->personality->nr_regions || !(spec->flags & flag) ||
	    offset > spec->size || count > spec->size - offset)
		return NULL;
	return spec;
}

/* The registers take one access of 32 bits; the others any, in pieces. */
ssize_t regions_rw(struct vfc *vfc, char __user *user, size_t count, loff_t *position,
		      bool write)
{
	u64 index = *position >> REGION_SHIFT, offset = *position & (BIT_ULL(REGION_SHIFT) - 1);
	__le32 word = 0;
	void *at;
	int rc;

	if (!find_region(vfc, *position, count,
			 write ? VFIO_REGION_INFO_FLAG_WRITE : VFIO_REGION_INFO_FLAG_READ))
		return -EINVAL;
	if (index) {
		at = vfc->memory[index] + offset;
		if (write ? copy_from_user(at, user, count) : copy_to_user(user, at, count))
			return -EFAULT;
		return count;
	}
	if (write && copy_from_user(&word, user, min(count, sizeof(word))))
		return -EFAULT;
	rc = access_register(vfc, offset, count, &word, write);
	if (rc)
		return rc;
	return !write && copy_to_user(user, &word, count) ? -EFAULT : count;
}

/* Only what was said to be mappable is: not a byte of a hole. */
static bool may_map(const struct region_spec *spec, u64 offset, u64 length)
{
	if (!spec->nr_areas)
		return offset + length <= PAGE_ALIGN(spec->size);
	for (u32 i = 0; i < spec->nr_areas; i++)
		if (offset >= spec->areas[i].offset &&
		    offset + length <= spec->areas[i].offset + spec->areas[i].size)
			return true;
	return false;
}

int regions_mmap(struct vfc *vfc, struct vm_area_struct *vma)
{
	u64 position = (u64)vma->vm_pgoff << PAGE_SHIFT, index = position >> REGION_SHIFT;
	u64 offset = position & (BIT_ULL(REGION_SHIFT) - 1);
	const struct region_spec *spec =
		find_region(vfc, position, 0, VFIO_REGION_INFO_FLAG_MMAP);

	if (!spec || !index || !may_map(spec, offset, vma->vm_end - vma->vm_start))
		return -EINVAL;
	return remap_vmalloc_range(vma, vfc->memory[index], offset >> PAGE_SHIFT);
}

static int add_type(const struct region_spec *spec, struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_type type = {
		.header = {.id = VFIO_REGION_INFO_CAP_TYPE, .version = 1},
		.type = spec->type,
		.subtype = spec->subtype,
	};

	return spec->type ? vfio_info_add_capability(caps, &type.header, sizeof(type)) : 0;
}

static int add_areas(const struct region_spec *spec, struct vfio_info_cap *caps)
{
	size_t size = spec->nr_areas * sizeof(spec->areas[0]);
	struct {
		struct vfio_region_info_cap_sparse_mmap head;
		struct vfio_region_sparse_mmap_area areas[AREAS];
	} sparse = {
		.head.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1},
		.head.nr_areas = spec->nr_areas,
	};

	memcpy(sparse.areas, spec->areas, size);
	return size ? vfio_info_add_capability(caps, &sparse.head.header, sizeof(sparse.head) + size)
		    : 0;
}

int regions_info(struct vfc *vfc, struct vfio_region_info *info, struct vfio_info_cap *caps)
{
	const struct region_spec *spec;
	int rc;

	if (info->index >= vfc->personality->nr_regions)
		return -EINVAL;
	spec = &vfc->personality->regions[info->index];
	info->flags = spec->flags;
	info->size = spec->size;
	info->offset = REGION_OFFSET(info->index);
	rc = add_type(spec, caps);
	return rc ? rc : add_areas(spec, caps);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
/* Newer kernels do this for us. */
long regions_info_ioctl(struct vfc *vfc, unsigned long arg)
{
	struct vfio_info_cap caps = {0};
	struct vfio_region_info info;
	long rc;

	if (copy_from_user(&info, (void __user *)arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.cap_offset = 0;
	rc = regions_info(vfc, &info, &caps);
	if (!rc && caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = sizeof(info) + caps.size;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			if (copy_to_user((void __user *)arg + sizeof(info), caps.buf, caps.size))
				rc = -EFAULT;
			info.cap_offset = sizeof(info);
		}
	}
	kfree(caps.buf);
	return rc ? rc : copy_to_user((void __user *)arg, &info, sizeof(info)) ? -EFAULT : 0;
}
#endif
