/* SPDX-License-Identifier: MIT */
/* The error record: who, what, why; per thread; and errno is left alone. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfiocore.h>

#include "test.h"

static void no_such_device(void)
{
	struct vfc_device *device = NULL;
	const struct vfc_error *record = vfc_error_last();
	char text[600];

	CHECK_EQ(record->code, 0);
	CHECK(vfc_error_text(text, sizeof(text)) > 0);
	CHECK(!strcmp(text, "no error"));
	errno = 4242;
	CHECK_EQ(vfc_device_open("fake:toaster", NULL, &device), -ENODEV);
	CHECK_EQ(errno, 4242);
	CHECK(device == NULL);
	CHECK_EQ(record->code, ENODEV);
	CHECK_EQ(record->reason, VFC_REASON_NO_DEVICE);
	CHECK(!strcmp(record->operation, "vfc_device_open"));
	CHECK(strstr(record->hint, "e1000e")); /* what there is */
	CHECK(vfc_error_text(text, sizeof(text)) < (int)sizeof(text));
	CHECK(strstr(text, "vfc_device_open") && strstr(text, "No such device"));
	CHECK(vfc_error_text(text, 5) > 5 && strlen(text) == 4);
}

static void bad_names(void)
{
	static const char *const names[] = {"", "0000:01", "0000:01:00.8", "0000:01:20.0",
					    "01:00.0 ", "zz:00.0", "../../etc", "fake:",
					    "0000:01:00.0x", "+1:00.0", "0x1:00.0",
					    /* what would wrap round to a device that exists */
					    "100000000:00:00.0", "0000:100000000:00.0",
					    "00:100000000.0", "00:00.100000000", "fffffff0:00:00.0"};
	struct vfc_pci_info info = {.size = sizeof(info)};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		CHECK_EQ(vfc_pci_info(names[i], &info), -EINVAL);
		CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ARGUMENT);
	}
	CHECK_EQ(vfc_pci_info(NULL, &info), -EINVAL);
	CHECK_EQ(vfc_pci_info("ffff:ff:1f.7", &info), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DEVICE);
}

static void unknown_transport(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "pigeon"};
	struct vfc_iommu *iommu;

	CHECK_EQ(vfc_iommu_open(&opts, &iommu), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "group"));
	opts.size = 1;
	CHECK_EQ(vfc_iommu_open(&opts, &iommu), -EINVAL);
}

static void *other_thread(void *arg)
{
	CHECK_EQ(vfc_error_last()->code, 0);
	CHECK(vfc_error_last() != arg);
	return NULL;
}

static void per_thread(void)
{
	pthread_t thread;

	CHECK(vfc_error_last()->code);
	CHECK_EQ(pthread_create(&thread, NULL, other_thread, (void *)vfc_error_last()), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void bad_regions(struct vfc_device *device)
{
	struct vfc_region_info info = {.size = sizeof(info)};
	volatile void *address;
	uint64_t value;

	CHECK_EQ(vfc_region_info(device, 99, &info), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 128 * 1024, 4, &value), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, UINT64_MAX - 3, 4, &value), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 2, 4, &value), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ALIGNMENT);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 0, 3, &value), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ARGUMENT);
	CHECK_EQ(vfc_region_write(device, VFC_REGION_BAR0, 0, 1, 256), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ARGUMENT);
	CHECK_EQ(vfc_region_map(device, VFC_REGION_CONFIG, 0, 4096, &address), -EOPNOTSUPP);
	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 100, 4096, &address), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_ALIGNMENT);
	CHECK_EQ(vfc_region_map(device, 1000, 0, 0, &address), -EINVAL);
}

static void bad_interrupts(struct vfc_device *device)
{
	struct vfc_irq *irq, *second;
	uint64_t count;

	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 99, &irq), -EINVAL);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 0, &irq), -EINVAL);
	CHECK_EQ(vfc_irq_open(device, 77, 1, &irq), -EINVAL);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_RANGE);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSI, 1, &second), -EBUSY);
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK_EQ(vfc_irq_wait(irq, 2, 0, NULL), -EINVAL);
	CHECK_EQ(vfc_irq_wait(irq, 1, 1000000, &count), -ETIMEDOUT);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_TIMEOUT);
	CHECK_EQ(vfc_irq_trigger(irq, 1), 0);
	CHECK_EQ(vfc_irq_trigger(irq, 1), 0);
	CHECK_EQ(vfc_irq_wait(irq, 1, 0, &count), 0);
	CHECK_EQ(count, 2);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSI, 1, &second), 0);
	CHECK_EQ(vfc_irq_close(second), 0);
}

/* A reset takes the vectors away, so that closing has nothing to disarm: no failure of the caller's. */
static void record_stays(struct vfc_device *device)
{
	struct vfc_irq *irq;

	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_ERR, 1, &irq), 0);
	CHECK_EQ(vfc_device_reset(device), 0);
	CHECK_EQ(vfc_irq_fd(irq, 7), -EINVAL);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK(!strcmp(vfc_error_last()->operation, "vfc_irq_fd"));
}

static void gone(struct vfc_device *device)
{
	uint64_t value;

	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, 0, 2, &value), 0);
	CHECK_EQ(value, 0x8086);
	CHECK_EQ(vfc_fake_set(device, VFC_FAKE_GONE, 1), 0);
	/* The model's thread notices the pull; a real one takes its time, too. */
	for (int i = 0; i < 2000; i++) {
		if (vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value) < 0)
			break;
		usleep(1000);
	}
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	CHECK_EQ(vfc_pci_caps(device, NULL, 0), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
}

/* What a child of fork() undoes at its exit is its parent's. */
static void forked(struct vfc_device *device)
{
	struct vfc_iommu *iommu;
	struct vfc_dma dma;
	uint64_t command;
	int status;
	pid_t child;

	CHECK_EQ(vfc_iommu_open(&(struct vfc_iommu_opts){.size = sizeof(struct vfc_iommu_opts),
							 .transport = "fake"}, &iommu), 0);
	CHECK_EQ(vfc_dma_alloc(vfc_device_iommu(device), 4096, NULL, &dma), 0);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		bool refused = vfc_dma_free(&dma) == -ECHILD && vfc_device_release(device) == -ECHILD &&
			       vfc_device_close(device) == -ECHILD &&
			       vfc_iommu_close(iommu) == -ECHILD && dma.va &&
			       strstr(vfc_error_last()->hint, "the parent process");

		_exit(refused ? 7 : 1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, 4, 2, &command), 0);
	CHECK(command & 4);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_iommu_close(iommu), 0);
}

int main(void)
{
	struct vfc_device *device;

	no_such_device();
	bad_names();
	unknown_transport();
	per_thread();
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	bad_regions(device);
	bad_interrupts(device);
	record_stays(device);
	forked(device);
	gone(device);
	CHECK_EQ(vfc_device_close(device), 0);
	return 0;
}
