// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfc_probe: tells a test what the kernel thinks of a PCI device's IOMMU.
 *
 * Sysfs shows a device's group but not whether DMA is translated now. Write an address such as
 * 0000:01:00.0 to /sys/kernel/debug/vfc_probe/device, then read it back:
 *
 *	0000:01:00.0 group=8 domain=unmanaged attached=1
 *
 * domain is the type of the domain in use: none, blocked, identity, unmanaged (VFIO's) or dma
 * (the kernel's). Write another address to ask about another device.
 */
#include <linux/debugfs.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#define ADDRESS_CHARS 32

static struct dentry *directory;
static char address[ADDRESS_CHARS];
static DEFINE_MUTEX(address_lock);

static const char *domain_name(const struct iommu_domain *domain)
{
	if (!domain)
		return "none";
	if (domain->type == IOMMU_DOMAIN_BLOCKED)
		return "blocked";
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return "identity";
	if (domain->type == IOMMU_DOMAIN_UNMANAGED)
		return "unmanaged";
	return (domain->type & __IOMMU_DOMAIN_DMA_API) ? "dma" : "other";
}

static struct pci_dev *find(const char *text)
{
	unsigned int domain, bus, slot, function;

	if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
}

static int probe_show(struct seq_file *file, void *unused)
{
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct pci_dev *device;

	mutex_lock(&address_lock);
	device = find(address);
	mutex_unlock(&address_lock);
	if (!device)
		return -ENODEV;

	group = iommu_group_get(&device->dev);
	domain = iommu_get_domain_for_dev(&device->dev);
	seq_printf(file, "%s group=%d domain=%s attached=%d\n", pci_name(device),
		   group ? iommu_group_id(group) : -1, domain_name(domain), domain != NULL);
	iommu_group_put(group);
	pci_dev_put(device);
	return 0;
}

static ssize_t probe_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	char text[ADDRESS_CHARS];
	struct pci_dev *device;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = '\0';

	device = find(text);
	if (!device)
		return -ENODEV;
	pci_dev_put(device);

	mutex_lock(&address_lock);
	memcpy(address, text, count + 1);
	mutex_unlock(&address_lock);
	return count;
}

static int probe_open(struct inode *inode, struct file *file)
{
	return single_open(file, probe_show, NULL);
}

static const struct file_operations probe_operations = {
	.owner = THIS_MODULE,
	.open = probe_open,
	.read = seq_read,
	.write = probe_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init vfc_probe_init(void)
{
	directory = debugfs_create_dir("vfc_probe", NULL);
	if (IS_ERR(directory))
		return PTR_ERR(directory);
	debugfs_create_file("device", 0600, directory, NULL, &probe_operations);
	return 0;
}

static void __exit vfc_probe_exit(void)
{
	debugfs_remove(directory);
}

module_init(vfc_probe_init);
module_exit(vfc_probe_exit);
MODULE_DESCRIPTION("What the kernel thinks of a PCI device's IOMMU, for libvfiocore's tests");
MODULE_LICENSE("GPL");
