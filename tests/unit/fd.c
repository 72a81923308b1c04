/* SPDX-License-Identifier: MIT */
/* What is asked of a device's descriptor, the same for one of a group and one of its own node. */
#include "transport_test.h"

#include <sys/eventfd.h>
#include <unistd.h>

static struct vfc_device *device;
static uint32_t kind; /* of its descriptor */

static void start(const char *transport)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true, .caps = 16});
	CHECK_EQ(try_alone(transport, FIRST, &device), 0);
	kind = strcmp(transport, "cdev") ? MOCK_DEVICE : MOCK_CDEV;
	mock.log[0] = '\0';
}

static void stop(void)
{
	CHECK_EQ(vfc_device_close(device), 0);
	mock_end();
}

static void regions(const char *transport)
{
	struct vfc_region_info info = {.size = sizeof(info)};
	volatile void *bar;
	uint64_t value = 0;

	start(transport);
	CHECK_EQ(vfc_region_info(device, 0, &info), 0); /* with a chain of capabilities */
	CHECK_EQ(info.length, 0x10000);
	CHECK_EQ(info.flags, VFC_REGION_READ | VFC_REGION_WRITE | VFC_REGION_MMAP);
	CHECK_EQ(vfc_region_info(device, 7, &info), 0);
	CHECK_EQ(info.length, 256);
	CHECK_EQ(vfc_region_info(device, 8, &info), 0); /* is not there, though it is counted */
	CHECK_EQ(info.length, 0);
	/* Config space goes through the kernel, a BAR is mapped: what lies behind is the same. */
	CHECK_EQ(vfc_region_write(device, 7, 0x40, 4, 0x12345678), 0);
	CHECK_EQ(vfc_region_read(device, 7, 0x41, 1, &value), 0);
	CHECK_EQ(value, 0x56);
	CHECK_EQ(vfc_region_map(device, 0, 0, PAGE, &bar), 0);
	*(volatile uint32_t *)bar = 0xcafe;
	CHECK_EQ(pread(mock.devices[0].memory, &value, 4, 0), 4);
	CHECK_EQ(value & 0xffff, 0xcafe);

	mock.access_error = EIO;
	REFUSED(vfc_region_read(device, 7, 0, 4, &value), EIO, VFC_REASON_DECODING, "is memory or I/O decoding off");
	mock.access_error = ENOMEM;
	REFUSED(vfc_region_read(device, 7, 0, 4, &value), ENOMEM, VFC_REASON_NONE, "for a ROM");
	mock.access_error = EFAULT;
	REFUSED(vfc_region_write(device, 7, 0x40, 4, 1), EFAULT, VFC_REASON_NONE, "");
	CHECK(!strcmp(vfc_error_last()->call, "pwrite"));
	CHECK_EQ(ftruncate(mock.devices[0].memory, ((off_t)7 << 40) + 2), 0);
	REFUSED(vfc_region_read(device, 7, 0, 4, &value), EIO, VFC_REASON_NONE, "2 of 4 bytes were transferred");
	stop();
}

static uint32_t answered_size;

/* A region's info that grows while it is asked for, or is larger than anybody believes. */
static int region_answer(struct mock_file *file, unsigned long request, void *argument)
{
	struct vfio_region_info *info = argument;

	if (!(file->kind & kind) || request != VFIO_DEVICE_GET_REGION_INFO)
		return MOCK_ASIDE;
	info->argsz = answered_size++;
	info->flags = VFIO_REGION_INFO_FLAG_READ;
	info->size = 4;
	return 0;
}

static void region_answers(void)
{
	mock_start();
	mock_add((struct mock_device){.name = FIRST, .group = 7, .cdev = true, .caps = 16});
	kind = MOCK_DEVICE;
	mock.answer = region_answer;
	answered_size = 65537;
	REFUSED(try_alone("group", FIRST, &device), EBADMSG, VFC_REASON_MALFORMED,
		"the kernel wants 65537 bytes for region 0");
	answered_size = 100;
	CHECK_EQ(try_alone("group", FIRST, &device), 0);
	mock.answer = NULL;
	CHECK_EQ(vfc_device_close(device), 0);
	mock_fail(MOCK_DEVICE, VFIO_DEVICE_GET_REGION_INFO, EFAULT);
	CHECK_EQ(try_alone("group", FIRST, &device), -EFAULT);
	mock_fail_nth(MOCK_DEVICE, VFIO_DEVICE_GET_REGION_INFO, 1, ENODEV); /* when it is asked with room */
	REFUSED(try_alone("group", FIRST, &device), ENODEV, VFC_REASON_GONE, "has been removed");
	mock_end();
}

static int fewer_vectors(struct mock_file *file, unsigned long request, void *argument)
{
	(void)argument;
	return file->kind & kind && request == VFIO_DEVICE_SET_IRQS ? 1 : MOCK_ASIDE;
}

static void irqs(const char *transport)
{
	struct vfc_irq_info info = {.size = sizeof(info)};
	struct vfc_irq *irq;

	start(transport);
	CHECK_EQ(vfc_irq_info(device, VFC_IRQ_MSIX, &info), 0);
	CHECK_EQ(info.count, 4);
	CHECK_EQ(vfc_irq_info(device, 3, &info), 0); /* ERR is not there on conventional PCI */
	CHECK_EQ(info.count, 0);
	mock_fail(kind, VFIO_DEVICE_GET_IRQ_INFO, ENODEV);
	REFUSED(vfc_irq_info(device, VFC_IRQ_MSIX, &info), ENODEV, VFC_REASON_GONE, "has been removed");
	mock.log[0] = '\0';
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), 0);
	MOCK_EXPECT("irqs 2 24 0+2;");
	CHECK_EQ(vfc_irq_close(irq), 0);
	MOCK_EXPECT("irqs 2 21 0+0;");
	mock.answer = fewer_vectors;
	REFUSED(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), ENOSPC, VFC_REASON_NONE,
		"the kernel has 1 vectors for the device, and not 2");
	mock.answer = NULL;
	mock_fail(kind, VFIO_DEVICE_SET_IRQS, ENOSPC);
	REFUSED(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), ENOSPC, VFC_REASON_NONE,
		"x86 has about 190 for each CPU");
	mock_fail(kind, VFIO_DEVICE_SET_IRQS, EINVAL);
	REFUSED(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), EINVAL, VFC_REASON_NONE, "");
	stop();
}

static uint32_t asked, growing;

static int hot_reset_answer(struct mock_file *file, unsigned long request, void *argument)
{
	struct vfio_pci_hot_reset_info *info = argument;

	if (!(file->kind & kind) || request != VFIO_DEVICE_GET_PCI_HOT_RESET_INFO)
		return MOCK_ASIDE;
	info->count = growing + asked++;
	return -ENOSPC;
}

static void resets(const char *transport)
{
	start(transport);
	CHECK_EQ(vfc_device_reset(device), 0);
	MOCK_EXPECT("reset;");
	mock_fail(kind, VFIO_DEVICE_RESET, EAGAIN);
	REFUSED(vfc_device_reset(device), EAGAIN, VFC_REASON_NONE, "");
	mock_fail(kind, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, ENODEV);
	REFUSED(vfc_device_hot_reset(device), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "it is on a root bus");
	mock_fail(kind, VFIO_DEVICE_PCI_HOT_RESET, ENOTTY);
	REFUSED(vfc_device_hot_reset(device), EOPNOTSUPP, VFC_REASON_UNSUPPORTED, "x-speed=5");
	mock_fail(kind, VFIO_DEVICE_PCI_HOT_RESET, EINVAL);
	REFUSED(vfc_device_hot_reset(device), EINVAL, VFC_REASON_NONE, "");
	mock.answer = hot_reset_answer;
	growing = 1;
	REFUSED(vfc_device_hot_reset(device), EAGAIN, VFC_REASON_NONE, "devices keep coming on the bus");
	CHECK_EQ(asked, 9);
	growing = 5000;
	REFUSED(vfc_device_hot_reset_info(device, NULL, 0), EBADMSG, VFC_REASON_MALFORMED,
		"says that 5009 devices would be reset");
	stop();
}

static void features(const char *transport)
{
	int event = eventfd(0, EFD_CLOEXEC);

	start(transport);
	CHECK_EQ(vfc_region_ioeventfd(device, 0, 0x10, 4, 1, event), 0);
	CHECK_EQ(vfc_region_ioeventfd(device, 0, 0x10, 4, 1, -1), 0);
	MOCK_EXPECT("ioeventfd;ioeventfd;");
	mock_fail(kind, VFIO_DEVICE_IOEVENTFD, ENOSPC);
	CHECK_EQ(vfc_region_ioeventfd(device, 0, 0x10, 4, 1, event), -ENOSPC);
	mock_fail(kind, VFIO_DEVICE_FEATURE, EIO);
	CHECK_EQ(vfc_power_low_exit(device), -EIO);
	CHECK(vfc_power_low_exit(device) < 0); /* the kernel does not know it */
	close(event);
	stop();
}

/* From a release on everything says so, and a mapped BAR is memory that reads as all ones. */
static void released(const char *transport)
{
	volatile void *bar;
	uint64_t value;
	uint32_t id = 0;

	start(transport);
	CHECK_EQ(vfc_region_map(device, 0, 0, PAGE, &bar), 0);
	*(volatile uint32_t *)bar = 7;
	mock_fail_open("/", EMFILE);
	REFUSED(vfc_device_release(device), EMFILE, VFC_REASON_NONE, "stands in for the device's");
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK(!mock.devices[0].opened);
	CHECK_EQ(*(volatile uint32_t *)bar, UINT32_MAX);
	REFUSED(vfc_region_read(device, 7, 0, 4, &value), ENODEV, VFC_REASON_GONE, "close it");
	REFUSED(vfc_region_write(device, 7, 0x40, 4, 0), ENODEV, VFC_REASON_GONE, "close it");
	REFUSED(vfc_device_reset(device), ENODEV, VFC_REASON_GONE, "close it");
	CHECK(vfc_device_iommufd_id(device, &id) < 0);
	CHECK_EQ(vfc_device_close(device), 0);
	mock_end();
}

int main(void)
{
	static const char *const transports[] = {"group", "compat", "cdev"};

	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		regions(transports[i]);
		irqs(transports[i]);
		asked = 0;
		resets(transports[i]);
		features(transports[i]);
		released(transports[i]);
	}
	region_answers();
	return 0;
}
