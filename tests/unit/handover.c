/* SPDX-License-Identifier: MIT */
/* What comes over a socket or in the environment is refused unless it is a device; places elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vfiocore.h>

#include "iommu/space.h"
#include "sweep.h"
#include "test.h"
#include "transport/environment.h"

#define VARIABLE "VFIOCORE_FDS"
#define PASSPIDFD 76 /* asm-generic/socket.h since Linux 6.5: SO_PASSPIDFD */

/* As src/share/handover.c has it. */
struct message {
	char magic[12];
	uint32_t ioas;
	char transport[16];
	char name[VFC_BUS_NAME];
};

static const struct message good = {"vfiocore 1", 0, "group", "0000:01:00.0"};

static void send_with(int to, const void *data, size_t length, unsigned count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(count * sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	struct iovec vector = {(void *)data, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	int fds[8];

	for (unsigned i = 0; i < count; i++)
		CHECK((fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
	memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	CHECK_EQ(sendmsg(to, &message, 0), length);
	while (count)
		CHECK_EQ(close(fds[--count]), 0);
}

/* It fails in that way, with a record, and no descriptor stays. */
static void refused_message(int type, const void *data, size_t length, unsigned count, int code)
{
	int pair[2], before = count_fds();
	struct vfc_device *device;

	CHECK_EQ(socketpair(AF_UNIX, type, 0, pair), 0);
	send_with(pair[0], data, length, count);
	CHECK_EQ(vfc_device_receive(pair[1], NULL, 0, &device), -code);
	CHECK_EQ(vfc_error_last()->code, code);
	CHECK(vfc_error_last()->hint[0]);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
	CHECK_EQ(count_fds(), before);
}

static void hostile_messages(int type)
{
	struct message bad = good;
	char longer[sizeof(good) + 1] = "";

	for (unsigned count = 0; count < 8; count++)
		if (count != 2)
			refused_message(type, &good, sizeof(good), count, EBADMSG);
	refused_message(type, &good, sizeof(good) - 1, 2, EBADMSG);
	refused_message(type, &good, 1, 2, EBADMSG);
	if (type != SOCK_STREAM) { /* there it is the next message's beginning */
		memcpy(longer, &good, sizeof(good));
		refused_message(type, longer, sizeof(longer), 2, EBADMSG);
	}
	bad.magic[9] = '2';
	refused_message(type, &bad, sizeof(bad), 2, EBADMSG);
	/* Right as a message, but with descriptors that are of no device. */
	refused_message(type, &good, sizeof(good), 2, EINVAL);
	memset(&bad, 0xff, sizeof(bad));
	memcpy(bad.magic, good.magic, sizeof(bad.magic));
	refused_message(type, &bad, sizeof(bad), 2, EBADMSG);
}

/* Only who receives may decide to do without an IOMMU. */
static void transports_of_others(void)
{
	static const char *const names[] = {"noiommu", "noiommu-group", "fake", "", "group-v9"};
	struct message bad = good;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		memset(bad.transport, 0, sizeof(bad.transport));
		memcpy(bad.transport, names[i], strlen(names[i]));
		refused_message(SOCK_SEQPACKET, &bad, sizeof(bad), 2, EBADMSG);
		CHECK(strstr(vfc_error_last()->hint, "the sender names the transport"));
	}
	for (const char *const *name = (const char *[]){"cdev", "compat", "group-v1", NULL}; *name;
	     name++) {
		memset(bad.transport, 0, sizeof(bad.transport));
		memcpy(bad.transport, *name, strlen(*name));
		refused_message(SOCK_SEQPACKET, &bad, sizeof(bad), 2, EINVAL);
	}
}

static void pass(int socket, int option)
{
	int on = 1;

	/* SO_PASSPIDFD came with Linux 6.5. */
	CHECK(setsockopt(socket, SOL_SOCKET, option, &on, sizeof(on)) == 0 || errno == ENOPROTOOPT);
}

/* The kernel tells who sends before the descriptors or behind them, to whoever asked for it. */
static void known_senders(int type)
{
	static const int options[] = {SO_PASSCRED, SO_PASSSEC, PASSPIDFD};
	struct vfc_device *device;

	for (unsigned set = 0; set < 8; set++) {
		for (unsigned count = 0; count < 8; count++) {
			int pair[2], before = count_fds();

			CHECK_EQ(socketpair(AF_UNIX, type, 0, pair), 0);
			for (int i = 0; i < 3; i++)
				if (set >> i & 1)
					pass(pair[1], options[i]);
			send_with(pair[0], &good, sizeof(good), count);
			CHECK_EQ(vfc_device_receive(pair[1], NULL, 0, &device),
				 count == 2 ? -EINVAL : -EBADMSG);
			CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
			CHECK_EQ(count_fds(), before);
		}
	}
}

#define RECEIVERS 3

struct receivers {
	pthread_barrier_t start;
	int socket;
};

static void *receives(void *argument)
{
	struct receivers *all = argument;
	struct vfc_device *device;

	pthread_barrier_wait(&all->start);
	/* The descriptors are of no device. */
	CHECK_EQ(vfc_device_receive(all->socket, NULL, -1, &device), -EINVAL);
	return NULL;
}

/* All wake up for one message. Those who do not get it go on waiting for theirs. */
static void several_receivers(void)
{
	struct receivers all;
	pthread_t threads[RECEIVERS];
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	all.socket = pair[1];
	CHECK_EQ(pthread_barrier_init(&all.start, NULL, RECEIVERS + 1), 0);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < RECEIVERS; i++)
			CHECK_EQ(pthread_create(&threads[i], NULL, receives, &all), 0);
		pthread_barrier_wait(&all.start);
		for (int i = 0; i < RECEIVERS; i++) {
			usleep(200); /* so that they sleep, and wake together */
			send_with(pair[0], &good, sizeof(good), 2);
		}
		for (int i = 0; i < RECEIVERS; i++)
			CHECK_EQ(pthread_join(threads[i], NULL), 0);
	}
	CHECK_EQ(pthread_barrier_destroy(&all.start), 0);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
}

/* What was passed on to this process is not passed on to its children. */
static void taken_descriptors(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	environment_taken(fd);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(close(fd), 0);
}

static void no_message(void)
{
	int pair[2], pipes[2];
	struct vfc_device *device;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_EQ(vfc_device_receive(pair[1], NULL, 1000, &device), -ETIMEDOUT);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_TIMEOUT);
	CHECK_EQ(close(pair[0]), 0);
	CHECK_EQ(vfc_device_receive(pair[1], NULL, -1, &device), -ECONNRESET);
	CHECK_EQ(close(pair[1]), 0);
	CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	CHECK_EQ(vfc_device_receive(pipes[0], NULL, -1, &device), -ENOTSOCK);
	CHECK_EQ(close(pipes[0]) | close(pipes[1]), 0);
}

/* Options of an older header, and none at all, are told before a message is taken. */
static void options(void)
{
	struct vfc_device_opts opts = {.size = 8};
	struct vfc_device *device;
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	opts.iommu = (struct vfc_iommu *)-1; /* beyond its size */
	send_with(pair[0], &good, sizeof(good), 2);
	CHECK_EQ(vfc_device_receive(pair[1], &opts, 0, &device), -EINVAL);
	CHECK(!strstr(vfc_error_last()->hint, "vfc_device_opts"));
	opts.size = 0;
	send_with(pair[0], &good, sizeof(good), 2);
	CHECK_EQ(vfc_device_receive(pair[1], &opts, 0, &device), -EINVAL);
	CHECK(strstr(vfc_error_last()->hint, "vfc_device_opts"));
	CHECK_EQ(vfc_device_receive(pair[1], NULL, 0, &device), -EINVAL);
	CHECK_EQ(vfc_device_receive(pair[1], NULL, 0, &device), -ETIMEDOUT);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
}

static void the_model_stays_here(void)
{
	const struct vfc_device_opts shared = {.size = sizeof(shared), .flags = VFC_DEVICE_SHARED};
	struct vfc_device *device;
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_EQ(vfc_device_open("fake:e1000e", &shared, &device), -EINVAL);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_send(device, pair[0]), -EOPNOTSUPP);
	CHECK_EQ(vfc_device_fd(device), -EOPNOTSUPP);
	CHECK_EQ(vfc_iommu_fd(vfc_device_iommu(device), NULL), -EOPNOTSUPP);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(close(pair[0]) | close(pair[1]), 0);
}

static void opens(const char *list, const char *name, int code)
{
	struct vfc_device *device;

	CHECK_EQ(setenv(VARIABLE, list, 1), 0);
	CHECK_EQ(vfc_device_open(name, NULL, &device), -code);
	CHECK(vfc_error_last()->hint[0]);
	CHECK_EQ(unsetenv(VARIABLE), 0);
}

static void the_environment(void)
{
	const struct vfc_iommu_opts fake = {.size = sizeof(fake), .transport = "fake"};
	struct vfc_device *device;
	struct vfc_iommu *iommu;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), before = count_fds();
	char list[80];

	CHECK(null >= 0);
	for (const char *const *bad = (const char *[]){"x", "=", "iommu=", "iommu=-1", "iommu=3x",
						       "iommu=99999999999", "iommu=3,,", "iommu=3,a", NULL};
	     *bad; bad++)
		opens(*bad, "0000:01:00.0", EINVAL);
	opens("0000:01:00.0=4", "1:0.0", EINVAL); /* a device without a space */
	opens("iommu=987,0000:01:00.0=988", "01:00.0", EBADF);
	snprintf(list, sizeof(list), "iommu=%d,0000:01:00.0=%d", null, null);
	opens(list, "0000:01:00.0", EINVAL);
	opens(list, "nonsense", EINVAL);
	/* What was named otherwise is not looked for there. */
	CHECK_EQ(setenv(VARIABLE, list, 1), 0);
	CHECK_EQ(vfc_iommu_open(NULL, &iommu), -EINVAL);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(vfc_iommu_open(&fake, &iommu), 0);
	CHECK_EQ(vfc_iommu_close(iommu), 0);
	CHECK_EQ(unsetenv(VARIABLE), 0);
	CHECK_EQ(count_fds(), before);
	CHECK_EQ(close(null), 0);
}

/* Somebody else maps in the same page table: not in the library's books. */
static void map_elsewhere(struct vfc_iommu *iommu, void *page, uint64_t iova, uint64_t count)
{
	const struct transport_memory memory = {.va = page, .fd = -1};

	for (uint64_t at = iova; at < iova + count * 4096; at += 4096) {
		uint64_t place = at;

		CHECK_EQ(iommu->ops->map(iommu->space, &memory, &place, 4096, 3), 0);
	}
}

static void places_elsewhere(void)
{
	struct vfc_map_opts low = {.size = sizeof(low), .highest = 0x1fffff};
	struct vfc_error before;
	struct vfc_device *device;
	struct vfc_iommu *iommu;
	uint64_t iova, first;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED);
	CHECK_EQ(vfc_device_open("fake:e1000e", NULL, &device), 0);
	iommu = vfc_device_iommu(device);
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, NULL, &first), 0);
	map_elsewhere(iommu, page, first + 4096, 100);
	before = *vfc_error_last();
	/* Whose space it is alone, that is no way out. */
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, NULL, &iova), -EEXIST);
	vfc_error_restore(&before);
	iommu->adopted = true;
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, NULL, &iova), 0);
	CHECK(iova > first + 100 * 4096);
	CHECK_EQ(memcmp(&before, vfc_error_last(), sizeof(before)), 0);
	iova = first + 4096;
	low.flags = VFC_MAP_FIXED;
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, &low, &iova), -EEXIST);
	low.flags = 0;
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, &low, &iova), 0);
	CHECK(iova > first + 100 * 4096 && iova < low.highest);
	/* No place at all: it ends, and says so. */
	map_elsewhere(iommu, page, 0x400000, 16);
	low.highest = 0x40ffff;
	low.align = 0x400000;
	CHECK_EQ(vfc_iommu_map(iommu, page, 4096, &low, &iova), -ENOSPC);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_OUT_OF_IOVA);
	iommu->adopted = false;
	CHECK_EQ(vfc_device_close(device), 0);
	CHECK_EQ(munmap(page, 4096), 0);
}

static void shared_objects(void)
{
	const struct vfc_iommu_opts joined = {.size = sizeof(joined), .transport = "fake", .ioas = 1};
	struct vfc_device_opts opts = {.size = sizeof(opts), .flags = VFC_DEVICE_RESET};
	struct vfc_device *device;
	struct vfc_iommu *iommu;

	CHECK_EQ(vfc_iommu_open(&joined, &iommu), -EINVAL);
	CHECK_EQ(vfc_device_open("fake:e1000e", &opts, &device), -EINVAL);
}

int main(void)
{
	unsetenv(VARIABLE);
	hostile_messages(SOCK_STREAM);
	hostile_messages(SOCK_SEQPACKET);
	hostile_messages(SOCK_DGRAM);
	transports_of_others();
	known_senders(SOCK_STREAM);
	known_senders(SOCK_SEQPACKET);
	known_senders(SOCK_DGRAM);
	several_receivers();
	taken_descriptors();
	no_message();
	options();
	the_model_stays_here();
	the_environment();
	places_elsewhere();
	shared_objects();
	return 0;
}
