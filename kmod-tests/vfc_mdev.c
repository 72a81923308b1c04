// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfc_device: mediated devices that exist for tests, with what no emulated PCI device has.
 *
 * A UUID is written to "create" of a type, vfc_device-TYPE in mdev_supported_types of
 * /sys/class/mdev_bus/vfc_device:
 *
 *	regions	12 regions, among them one that can be mapped but for a hole, one with a type, ones
 *		without READ, WRITE or MMAP, of an odd size, of none
 *	irqs	2048 vectors of one type, a level, a type that is not there, 40 types in all
 *	dma	reads and writes the caller's memory on command; has a request interrupt
 *
 * Region 0 is the registers, see vfc_device.h.
 *
 * Parameters, which may be changed at any time (/sys/module/vfc_device/parameters):
 *
 *	flags		VFIO_DEVICE_FLAGS_* in place of the type's own; 0: none
 *	open_error	an errno with which opening fails; 0: none
 *
 * Source: Documentation/driver-api/vfio-mediated-device.rst.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "vfc_device.h"

static uint flags;
module_param(flags, uint, 0644);
static int open_error;
module_param(open_error, int, 0644);

#define EVENTFD VFIO_IRQ_INFO_EVENTFD
#define LEVEL (EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED)

static const struct irq_spec many_irqs[40] = {
	[0] = {2048, EVENTFD},
	[LEVEL_INDEX] = {1, LEVEL},
	[2] = {0, 0},
	[3] = {16, EVENTFD | VFIO_IRQ_INFO_NORESIZE},
	[4 ... 38] = {1, EVENTFD},
	[39] = {4, EVENTFD},
};

/* I/O, channel report, request: as channel I/O has them. */
static const struct irq_spec ccw_irqs[] = {{1, EVENTFD}, {1, EVENTFD}, {1, EVENTFD}};

static const struct personality personalities[] = {
	{VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET, many_regions,
	 MANY_REGIONS, NULL, 0, -1},
	{VFIO_DEVICE_FLAGS_PLATFORM, registers_only, 1, many_irqs, ARRAY_SIZE(many_irqs), -1},
	{VFIO_DEVICE_FLAGS_CCW, registers_only, 1, ccw_irqs, ARRAY_SIZE(ccw_irqs), 2},
};

static struct mdev_type types[] = {
	{.sysfs_name = "regions", .pretty_name = "regions of all kinds"},
	{.sysfs_name = "irqs", .pretty_name = "interrupts of all kinds"},
	{.sysfs_name = "dma", .pretty_name = "DMA on command"},
};
static struct mdev_type *type_list[] = {&types[0], &types[1], &types[2]};

static struct vfc *to_vfc(struct vfio_device *vdev)
{
	return container_of(vdev, struct vfc, vdev);
}

static int vfc_init(struct vfio_device *vdev)
{
	struct vfc *vfc = to_vfc(vdev);

	mutex_init(&vfc->lock);
	mutex_init(&vfc->pins_lock);
	vfc->personality = &personalities[to_mdev_device(vdev->dev)->type - types];
	return regions_init(vfc);
}

static void vfc_release(struct vfio_device *vdev)
{
	regions_free(to_vfc(vdev));
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	vfio_free_device(vdev);
#endif
}

static int vfc_open(struct vfio_device *vdev)
{
	struct vfc *vfc = to_vfc(vdev);

	if (open_error)
		return -abs(open_error);
	memset(vfc->registers, 0, sizeof(vfc->registers));
	vfc->registers[REG_ID / 4] = DEVICE_ID;
	vfc->unmaps = 0;
	return irqs_open(vfc);
}

static void vfc_close(struct vfio_device *vdev)
{
	struct vfc *vfc = to_vfc(vdev);

	dma_unpin(vfc, 0, U64_MAX);
	mutex_lock(&vfc->lock);
	irqs_close(vfc);
	mutex_unlock(&vfc->lock);
}

static void vfc_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct vfc *vfc = to_vfc(vdev);

	vfc->unmaps++;
	dma_unpin(vfc, iova, length);
}

static void vfc_request(struct vfio_device *vdev, unsigned int count)
{
	struct vfc *vfc = to_vfc(vdev);

	mutex_lock(&vfc->lock);
	if (vfc->personality->request >= 0)
		irqs_raise(vfc, vfc->personality->request, 0, 1);
	mutex_unlock(&vfc->lock);
}

static ssize_t vfc_read(struct vfio_device *vdev, char __user *user, size_t count, loff_t *position)
{
	return regions_rw(to_vfc(vdev), user, count, position, false);
}

static ssize_t vfc_write(struct vfio_device *vdev, const char __user *user, size_t count,
			 loff_t *position)
{
	return regions_rw(to_vfc(vdev), (char __user *)user, count, position, true);
}

static int vfc_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	return regions_mmap(to_vfc(vdev), vma);
}

static long device_info(struct vfc *vfc, unsigned long arg)
{
	size_t size = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {0};

	if (copy_from_user(&info, (void __user *)arg, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	info.flags = flags ? flags : vfc->personality->device_flags;
	info.num_regions = vfc->personality->nr_regions;
	info.num_irqs = vfc->personality->nr_irqs;
	return copy_to_user((void __user *)arg, &info, size) ? -EFAULT : 0;
}

/* The caller's memory is as it was when the device was made. */
static long reset(struct vfc *vfc)
{
	if (!(vfc->personality->device_flags & VFIO_DEVICE_FLAGS_RESET))
		return -EINVAL;
	for (u32 i = 1; i < vfc->personality->nr_regions; i++)
		if (vfc->memory[i])
			memset(vfc->memory[i], 0, vfc->personality->regions[i].size);
	return 0;
}

static long vfc_ioctl(struct vfio_device *vdev, unsigned int command, unsigned long arg)
{
	struct vfc *vfc = to_vfc(vdev);

	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return device_info(vfc, arg);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
	case VFIO_DEVICE_GET_REGION_INFO:
		return regions_info_ioctl(vfc, arg);
#endif
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irqs_info(vfc, arg);
	case VFIO_DEVICE_SET_IRQS:
		return irqs_set(vfc, arg);
	case VFIO_DEVICE_RESET:
		return reset(vfc);
	default:
		return -ENOTTY;
	}
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
static int vfc_region_info_caps(struct vfio_device *vdev, struct vfio_region_info *info,
				struct vfio_info_cap *caps)
{
	return regions_info(to_vfc(vdev), info, caps);
}
#endif

static const struct vfio_device_ops vfc_ops = {
	.name = "vfc_device",
	.init = vfc_init,
	.release = vfc_release,
	.open_device = vfc_open,
	.close_device = vfc_close,
	.read = vfc_read,
	.write = vfc_write,
	.ioctl = vfc_ioctl,
	.mmap = vfc_mmap,
	.request = vfc_request,
	.dma_unmap = vfc_dma_unmap,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	.get_region_info_caps = vfc_region_info_caps,
#endif
};

static int vfc_probe(struct mdev_device *mdev)
{
	struct vfc *vfc = vfio_alloc_device(vfc, vdev, &mdev->dev, &vfc_ops);
	int rc;

	if (IS_ERR(vfc))
		return PTR_ERR(vfc);
	dev_set_drvdata(&mdev->dev, vfc);
	rc = vfio_register_emulated_iommu_dev(&vfc->vdev);
	if (rc)
		vfio_put_device(&vfc->vdev);
	return rc;
}

static void vfc_remove(struct mdev_device *mdev)
{
	struct vfc *vfc = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&vfc->vdev);
	vfio_put_device(&vfc->vdev);
}

static struct mdev_driver vfc_driver = {
	.device_api = "vfc-test",
	.max_instances = 64,
	.probe = vfc_probe,
	.remove = vfc_remove,
	.driver = {.name = "vfc_device", .owner = THIS_MODULE, .mod_name = KBUILD_MODNAME},
};

/* A class, for its name is the first half of the types' names. */
static struct class vfc_class = {.name = "vfc_device"};
static struct mdev_parent parent;
static struct device *parent_device;

static int __init vfc_module_init(void)
{
	int rc = mdev_register_driver(&vfc_driver);

	if (rc)
		return rc;
	rc = class_register(&vfc_class);
	if (rc)
		goto driver;
	parent_device = device_create(&vfc_class, NULL, 0, NULL, "vfc_device");
	rc = PTR_ERR_OR_ZERO(parent_device);
	if (rc)
		goto class;
	rc = mdev_register_parent(&parent, parent_device, &vfc_driver, type_list,
				  ARRAY_SIZE(type_list));
	if (!rc)
		return 0;
	device_unregister(parent_device);
class:
	class_unregister(&vfc_class);
driver:
	mdev_unregister_driver(&vfc_driver);
	return rc;
}

static void __exit vfc_module_exit(void)
{
	mdev_unregister_parent(&parent);
	device_unregister(parent_device);
	class_unregister(&vfc_class);
	mdev_unregister_driver(&vfc_driver);
}

module_init(vfc_module_init);
module_exit(vfc_module_exit);
MODULE_DESCRIPTION("Mediated devices for libvfiocore's tests");
MODULE_LICENSE("GPL");
