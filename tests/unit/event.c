/* SPDX-License-Identifier: MIT */
/* Events: their order, what a watched device's life does to them, and messages from strangers. */
#include "event/event.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfiocore.h>

#include "device/device.h"
#include "kernel/sys.h"
#include "pci/uevent.h"
#include "test.h"

#define PAGE 4096
#define SECOND INT64_C(1000000000)
#define MS 1000000

static struct vfc_device *device;
static struct vfc_events *stream;
static struct vfc_event event = {.size = sizeof(event)};
static uint64_t sequence;

static void up(uint32_t flags)
{
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_events_open(NULL, &stream), 0);
	CHECK_EQ(vfc_events_watch(stream, device, flags), 0);
	sequence = 0;
}

static void down(void)
{
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_events_close(stream), 0);
}

/* The next event that is not about the devices of the machine that runs the tests. */
static int next(int64_t timeout)
{
	uint64_t before = event.time;
	int rc;

	do {
		rc = vfc_events_wait(stream, timeout, &event);
		if (rc == 0) {
			CHECK_EQ(event.sequence, ++sequence);
			CHECK(event.time >= before);
			CHECK_EQ(event.size, sizeof(event));
		}
	} while (rc == 0 && event.kind >= VFC_EVENT_ADD && event.kind <= VFC_EVENT_CHANGE);
	return rc;
}

static void expect(uint32_t kind)
{
	CHECK_EQ(next(60 * SECOND), 0);
	CHECK_EQ(event.kind, kind);
}

static void set(uint32_t knob, uint64_t value)
{
	CHECK_EQ(vfc_fake_set(device, knob, value), 0);
}

static void errors_and_requests(void)
{
	up(0);
	CHECK_EQ(next(0), -ETIMEDOUT);
	set(VFC_FAKE_ERROR, 1 << 15 | 1 << 12);
	expect(VFC_EVENT_ERROR);
	CHECK_EQ(event.uncorrectable, 1 << 15 | 1 << 12);
	CHECK_EQ(event.status, 2);
	CHECK(!strcmp(event.name, "fake:e1000e"));
	CHECK(!strcmp(event.detail, "Poisoned TLP Received, Completer Abort; device status: Non-Fatal "
				    "Error Detected"));
	set(VFC_FAKE_ERROR, 0); /* cleared by the kernel before we look */
	expect(VFC_EVENT_ERROR);
	CHECK(strstr(event.detail, "clear already"));
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	CHECK_EQ(event.released, 0);
	CHECK_EQ(next(2 * MS), -ETIMEDOUT);
	/* In the order in which they came, whatever they are. */
	for (int i = 0; i < 20; i++) {
		set(i % 2 ? VFC_FAKE_ERROR : VFC_FAKE_REQUEST, 1);
		set(i % 2 ? VFC_FAKE_REQUEST : VFC_FAKE_ERROR, 1);
		expect(i % 2 ? VFC_EVENT_ERROR : VFC_EVENT_REQUEST);
		expect(i % 2 ? VFC_EVENT_REQUEST : VFC_EVENT_ERROR);
	}
	CHECK_EQ(vfc_device_reset(device), 0); /* armed again */
	set(VFC_FAKE_ERROR, 1 << 4);
	expect(VFC_EVENT_ERROR);
	down();
}

static void readable(bool expected)
{
	struct pollfd poll = {.fd = vfc_events_fd(stream), .events = POLLIN};

	CHECK_EQ(sys_poll(&poll, 1, 0), expected);
}

static void gone(void)
{
	struct vfc_events_opts opts = {.size = sizeof(opts), .interval = 2 * MS};
	uint64_t value;

	up(0);
	set(VFC_FAKE_GONE, 1);
	CHECK_EQ(next(2 * MS), -ETIMEDOUT); /* nobody has asked yet */
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value), -ENODEV);
	readable(true);
	expect(VFC_EVENT_GONE);
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 8, 4, &value), -ENODEV);
	CHECK_EQ(next(2 * MS), -ETIMEDOUT); /* once */
	set(VFC_FAKE_GONE, 0);
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	CHECK_EQ(next(2 * MS), -ETIMEDOUT); /* and is there again, */
	set(VFC_FAKE_GONE, 1);
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	readable(true);
	expect(VFC_EVENT_GONE); /* so it can go again */
	CHECK_EQ(vfc_events_close(stream), 0);

	CHECK_EQ(vfc_events_open(&opts, &stream), 0);
	sequence = 0;
	CHECK_EQ(vfc_events_watch(stream, device, 0), 0);
	expect(VFC_EVENT_GONE); /* found by asking now and then */
	down();
}

static void watching(void)
{
	struct vfc_events *second;
	struct vfc_irq *irq;

	up(0);
	CHECK_EQ(vfc_events_open(NULL, &second), 0);
	CHECK_EQ(vfc_events_watch(second, device, 0), -EBUSY);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_BUSY);
	CHECK_EQ(vfc_events_unwatch(second, device), -ENOENT);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_REQ, 1, &irq), -EBUSY);
	CHECK_EQ(vfc_events_unwatch(stream, device), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_REQ, 1, &irq), 0);
	CHECK_EQ(vfc_events_watch(second, device, 0), -EBUSY); /* and left nothing: */
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_events_watch(second, device, 2), -EINVAL);
	CHECK_EQ(vfc_events_watch(second, device, 0), 0);
	set(VFC_FAKE_REQUEST, 1);
	CHECK_EQ(vfc_events_unwatch(second, device), 0); /* with an event that waits */
	CHECK_EQ(vfc_events_watch(second, device, 0), 0);
	CHECK_EQ(vfc_events_close(second), 0); /* watched by it */
	CHECK_EQ(vfc_events_watch(stream, device, 0), 0);
	CHECK_EQ(next(0), -ETIMEDOUT);
	/* Others' children still keep it open, and it is watched on. */
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 2, &irq), 0);
	CHECK_EQ(vfc_device_close(device), -EBUSY);
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	CHECK_EQ(vfc_irq_close(irq), 0);
	down();
}

static void bad_arguments(void)
{
	struct vfc_events_opts opts = {.size = sizeof(opts), .interval = -1};
	struct vfc_events *other;

	CHECK_EQ(vfc_events_open(&opts, &other), -EINVAL);
	opts = (struct vfc_events_opts){.size = 4};
	CHECK_EQ(vfc_events_open(&opts, &other), -EINVAL);
	CHECK_EQ(vfc_events_open(NULL, &stream), 0);
	event.size = 4;
	CHECK_EQ(vfc_events_wait(stream, 0, &event), -EINVAL);
	event.size = sizeof(event);
	CHECK_EQ(vfc_events_close(stream), 0);
	CHECK_EQ(vfc_events_close(NULL), 0);
}

/* The host has the device; its users find out, in whatever they do, and release their objects. */
static void released(void)
{
	struct vfc_device_info info = {.size = sizeof(info)};
	volatile void *map;
	struct vfc_irq *irq;
	struct vfc_dma dma;
	uint64_t value, pinned;

	up(VFC_WATCH_RELEASE);
	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0, 0, 0, &map), 0);
	CHECK_EQ(vfc_dma_alloc(vfc_device_iommu(device), PAGE, NULL, &dma), 0);
	CHECK_EQ(vfc_irq_open(device, VFC_IRQ_MSIX, 3, &irq), 0);
	CHECK_EQ(vfc_device_bus_master(device, true), 0);
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	CHECK_EQ(event.released, 1);
	CHECK_EQ(vfc_device_info(device, &info), 0);
	CHECK(info.flags & VFC_DEVICE_RELEASED);
	CHECK_EQ(vfc_irq_wait(irq, 2, 0, &value), 0); /* woken */
	CHECK_EQ(vfc_mmio_read32(map), 0xffffffff);
	vfc_mmio_write32(map, 0); /* goes nowhere */
	CHECK_EQ(vfc_region_read(device, VFC_REGION_BAR0, 0, 4, &value), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_GONE);
	CHECK(strstr(vfc_error_last()->hint, "vfc_device_release"));
	CHECK_EQ(vfc_region_read(device, VFC_REGION_CONFIG, 0, 4, &value), -ENODEV);
	CHECK_EQ(vfc_region_map(device, VFC_REGION_BAR0 + 1, 0, 0, &map), -ENODEV);
	CHECK_EQ(vfc_device_bus_master(device, true), -ENODEV);
	CHECK_EQ(vfc_device_reset(device), -ENODEV);
	CHECK_EQ(vfc_irq_rearm(irq), -ENODEV);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(vfc_fake_get(device, VFC_FAKE_PINNED, &pinned), 0);
	CHECK_EQ(pinned, 0);
	memset(dma.va, 1, PAGE); /* the memory is still ours */
	CHECK_EQ(next(2 * MS), -ETIMEDOUT);
	CHECK_EQ(vfc_irq_close(irq), 0);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	down();
}

static void released_nic(void)
{
	struct vfc_nic *nic;

	up(VFC_WATCH_RELEASE);
	CHECK_EQ(vfc_nic_open(device, NULL, &nic), 0);
	CHECK_EQ(vfc_nic_wait_link(nic, 60 * SECOND), 0);
	set(VFC_FAKE_REQUEST, 1);
	expect(VFC_EVENT_REQUEST);
	CHECK_EQ(event.released, 1);
	CHECK_EQ(vfc_nic_rx_wait(nic, 0, -1), -ENODEV);
	CHECK_EQ(vfc_nic_close(nic), 0);
	down();
}

/* Another device is attached to the space: what is mapped there stays. */
static void released_beside(void)
{
	struct vfc_iommu_opts opts = {.size = sizeof(opts), .transport = "fake"};
	struct vfc_device_opts in = {.size = sizeof(in)};
	struct vfc_device *other;
	struct vfc_dma dma;
	uint64_t mappings;

	CHECK_EQ(vfc_iommu_open(&opts, &in.iommu), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &device), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &in, &other), 0);
	CHECK_EQ(vfc_dma_alloc(in.iommu, PAGE, NULL, &dma), 0);
	CHECK_EQ(vfc_device_release(device), 0);
	CHECK_EQ(vfc_fake_get(other, VFC_FAKE_MAPPINGS, &mappings), 0);
	CHECK_EQ(mappings, 1);
	CHECK_EQ(vfc_device_release(other), 0);
	CHECK_EQ(vfc_fake_get(other, VFC_FAKE_MAPPINGS, &mappings), 0);
	CHECK_EQ(mappings, 0);
	CHECK_EQ(vfc_dma_free(&dma), 0);
	CHECK_EQ(vfc_device_close(other), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_close(in.iommu), 0);
}

#define HEAD "add@/devices/pci0000:00/0000:01:00.0\0ACTION=add\0SUBSYSTEM=pci\0"
#define NAME "PCI_SLOT_NAME=0000:01:00.0\0"

static const struct {
	const char *text;
	size_t length;
	int result;
} corpus[] = {
#define MESSAGE(result, text) {text, sizeof(text) - 1, result}
	MESSAGE(1, HEAD NAME "PCI_ID=8086:10D3\0DRIVER=vfio-pci\0SEQNUM=9\0"),
	MESSAGE(1, HEAD NAME),
	MESSAGE(1, HEAD NAME "DRIVER=\0EMPTY=\0"),
	MESSAGE(0, "add@/x\0ACTION=add\0SUBSYSTEM=block\0"),
	MESSAGE(0, "move@/x\0ACTION=move\0SUBSYSTEM=pci\0" NAME),
	MESSAGE(-EBADMSG, ""),
	MESSAGE(-EBADMSG, "\0"),
	MESSAGE(-EBADMSG, "add@/x"), /* no NUL at the end */
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=0000:01:00.0"),
	MESSAGE(-EBADMSG, "libudev\0ACTION=add\0SUBSYSTEM=pci\0" NAME),
	MESSAGE(-EBADMSG, "add@/x\0"),
	MESSAGE(-EBADMSG, "add@/x\0ACTION=add\0" NAME),
	MESSAGE(-EBADMSG, "add@/x\0SUBSYSTEM=pci\0" NAME),
	MESSAGE(-EBADMSG, "add@/x\0ACTION=remove\0SUBSYSTEM=pci\0" NAME),
	MESSAGE(-EBADMSG, "added@/x\0ACTION=add\0SUBSYSTEM=pci\0" NAME),
	MESSAGE(-EBADMSG, HEAD),
	MESSAGE(-EBADMSG, HEAD "=x\0" NAME),
	MESSAGE(-EBADMSG, HEAD "\0" NAME),
	MESSAGE(-EBADMSG, HEAD "WORD\0" NAME),
	MESSAGE(-EBADMSG, HEAD NAME NAME),
	MESSAGE(-EBADMSG, HEAD NAME "ACTION=remove\0"),
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=\0"),
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=../../etc\0"),
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=01:00.0\0"),
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=0000:01:00.0 \0"),
	MESSAGE(-EBADMSG, HEAD "PCI_SLOT_NAME=00000000000000000000:01:00.0\0"),
	MESSAGE(-EBADMSG, HEAD NAME "DRIVER=a-driver-whose-name-is-much-too-long-for-one\0"),
	MESSAGE(-EBADMSG, HEAD NAME "PCI_ID=8086\0"),
	MESSAGE(-EBADMSG, HEAD NAME "PCI_ID=0x80:0x10\0"),
	MESSAGE(-EBADMSG, HEAD NAME "PCI_ID=8086:10d3:1\0"),
};

static void messages(void)
{
	struct uevent uevent;

	for (size_t i = 0; i < sizeof(corpus) / sizeof(*corpus); i++) {
		/* A copy of its own, so that a byte too many is noticed. */
		char *copy = malloc(corpus[i].length + 1);

		CHECK(copy);
		memcpy(copy, corpus[i].text, corpus[i].length);
		copy = realloc(copy, corpus[i].length ? corpus[i].length : 1);
		if (uevent_parse(copy, corpus[i].length, &uevent) != corpus[i].result) {
			fprintf(stderr, "message %zu: %.60s\n", i, corpus[i].text);
			test_failed(__FILE__, __LINE__, "uevent_parse()");
		}
		free(copy);
	}
	CHECK_EQ(uevent_parse(corpus[0].text, corpus[0].length, &uevent), 1);
	CHECK_EQ(uevent.action, UEVENT_ADD);
	CHECK_EQ(uevent.vendor, 0x8086);
	CHECK_EQ(uevent.device, 0x10d3);
	CHECK(!strcmp(uevent.name, "0000:01:00.0"));
	CHECK(!strcmp(uevent.driver, "vfio-pci"));
}

/* Good messages with bytes changed, cut and repeated: whatever comes out is within its bounds. */
static void mutations(void)
{
	uint64_t state = 12345;
	struct uevent uevent;

	for (int i = 0; i < 200000; i++) {
		size_t pick = test_random(&state) % (sizeof(corpus) / sizeof(*corpus));
		size_t length = corpus[pick].length;
		char *copy = malloc(length + 1);

		CHECK(copy);
		memcpy(copy, corpus[pick].text, length);
		for (uint64_t n = test_random(&state) % 4; n && length; n--)
			copy[test_random(&state) % length] = (char)test_random(&state);
		if (length && test_random(&state) % 4 == 0)
			length = test_random(&state) % length;
		if (uevent_parse(copy, length, &uevent) == 1) {
			CHECK(memchr(uevent.name, 0, sizeof(uevent.name)));
			CHECK(memchr(uevent.driver, 0, sizeof(uevent.driver)));
			CHECK(uevent.action <= UEVENT_CHANGE);
		}
		free(copy);
	}
}

/* A message that the kernel has not sent is no event. That one was lost is an event. */
static void strangers(void)
{
	int ends[2];

	CHECK_EQ(vfc_events_open(NULL, &stream), 0);
	sequence = 0;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
	CHECK_EQ(sys_epoll_queue(stream->epoll, ends[0], EVENT_UEVENTS), 0);
	sys_epoll_remove(stream->epoll, stream->fds[EVENT_UEVENTS]);
	close(stream->fds[EVENT_UEVENTS]);
	stream->fds[EVENT_UEVENTS] = ends[0];
	for (int i = 0; i < 100; i++) /* more than are passed over in one go */
		CHECK(send(ends[1], corpus[0].text, corpus[0].length, 0) > 0 || errno == EAGAIN);
	/* Not by next(), which passes over events of devices: here none of the machine's can come. */
	for (int i = 0; i < 3; i++)
		CHECK_EQ(vfc_events_wait(stream, 2 * MS, &event), -ETIMEDOUT);
	readable(false);
	CHECK(send(ends[1], corpus[0].text, corpus[0].length, 0) > 0);
	sys_fault_arm(2); /* the first call finds the socket, the second reads it */
	expect(VFC_EVENT_LOST);
	sys_fault_arm(0);
	CHECK(strstr(event.detail, "more messages came than the socket could hold"));
	CHECK_EQ(next(0), -ETIMEDOUT);
	CHECK_EQ(vfc_events_close(stream), 0);
	close(ends[1]);
}

/* Of a clock that jumped it is asked whether the system slept meanwhile. */
static void asleep(void)
{
	int fd = sys_eventfd();

	CHECK(fd >= 0);
	CHECK_EQ(vfc_events_open(NULL, &stream), 0);
	sequence = 0;
	sys_epoll_remove(stream->epoll, stream->fds[EVENT_CLOCK]);
	sys_close(stream->fds[EVENT_CLOCK]);
	stream->fds[EVENT_CLOCK] = fd;
	CHECK_EQ(sys_epoll_queue(stream->epoll, fd, EVENT_CLOCK), 0);
	sys_eventfd_raise(fd);
	CHECK_EQ(next(0), -ETIMEDOUT); /* it was set */
	stream->asleep -= 5 * SECOND;
	sys_eventfd_raise(fd);
	expect(VFC_EVENT_RESUME);
	CHECK(event.slept >= 4990 * (uint64_t)MS && event.slept < 6 * (uint64_t)SECOND);
	sys_eventfd_raise(fd);
	CHECK_EQ(next(0), -ETIMEDOUT); /* once */
	CHECK_EQ(vfc_events_close(stream), 0);
}

static void wait_for(void)
{
	char name[VFC_PCI_NAME];

	CHECK_EQ(vfc_pci_wait_for(NULL, 0, name), -EINVAL);
	CHECK_EQ(vfc_pci_wait_for("8086", 0, name), -EINVAL);
	CHECK_EQ(vfc_pci_wait_for("8086:10d3 ", 0, name), -EINVAL);
	CHECK_EQ(vfc_pci_wait_for("fedc:ba98", 2 * MS, name), -ETIMEDOUT);
	CHECK_EQ(vfc_pci_wait_for("fedc:ba:12.3", 2 * MS, name), -ETIMEDOUT);
}

int main(void)
{
	messages();
	mutations();
	strangers();
	bad_arguments();
	errors_and_requests();
	gone();
	watching();
	released();
	released_nic();
	released_beside();
	asleep();
	wait_for();
	return 0;
}
