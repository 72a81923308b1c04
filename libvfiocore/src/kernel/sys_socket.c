/* SPDX-License-Identifier: MIT */
/* Sockets: the kernel's uevents (netlink(7)), and descriptors in messages (unix(7), cmsg(3)). */
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kernel/call.h"
#include "kernel/sys.h"

#define SCM_PIDFD_ 0x04 /* linux/socket.h since Linux 6.5: SCM_PIDFD */
#define LABEL_MAX  4096 /* a security label is at most a page */

/* The kernel sends to group 1. udev sends to another one. */
int sys_uevents(size_t buffer)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd, rc, size = (int)buffer;

	FAIL_ON_DEMAND(-EPROTONOSUPPORT);
	fd = CALL(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			 NETLINK_KOBJECT_UEVENT));
	if (fd < 0)
		return fd;
	/*
	 * Only a privileged process may exceed the system's limit. Others get as much as it allows.
	 */
	if (CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size))) < 0)
		CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	rc = CALL(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	if (rc < 0) {
		sys_close(fd);
		return rc;
	}
	return fd;
}

ssize_t sys_receive(int fd, void *data, size_t size, bool *kernel)
{
	struct sockaddr_nl from = {.nl_family = AF_UNSPEC};
	struct iovec vector = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_name = &from,
				 .msg_namelen = sizeof(from),
				 .msg_iov = &vector,
				 .msg_iovlen = 1};
	ssize_t n;

	FAIL_ON_DEMAND(-ENOBUFS);
	n = CALL(recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC));
	*kernel = n >= 0 && message.msg_namelen == sizeof(from) && from.nl_family == AF_NETLINK &&
		  from.nl_pid == 0;
	return n;
}

/* The control data that sys_send_fds() sends. */
union sent {
	struct cmsghdr header;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

/*
 * The control data that may come. The owner of the socket decides what the kernel adds to each
 * message: who sent it (SO_PASSCRED, SO_PASSPIDFD), and under which security label (SO_PASSSEC).
 * The kernel cuts off and closes what does not fit.
 */
union received {
	struct cmsghdr header;
	char room[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) +
		  CMSG_SPACE(sizeof(int)) + CMSG_SPACE(LABEL_MAX)];
};

int sys_send_fds(int socket, const void *data, size_t length, const int fds[2])
{
	union sent control = {.header = {.cmsg_len = CMSG_LEN(2 * sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS}};
	struct iovec vector = {(void *)data, length};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n;

	FAIL_ON_DEMAND(-ENOBUFS);
	memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
	n = CALL(sendmsg(socket, &message, MSG_NOSIGNAL));
	return n < 0 ? (int)n : (size_t)n == length ? 0 : -EMSGSIZE;
}

/*
 * Take the descriptors in @header. The first two that were sent go to @fds, and all others are
 * closed. Return how many were sent so far.
 */
static unsigned take(const struct cmsghdr *header, int fds[2], unsigned count)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool wanted = header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
	int fd;

	if (header->cmsg_level != SOL_SOCKET || (!wanted && header->cmsg_type != SCM_PIDFD_))
		return count;
	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (wanted && count < 2)
			fds[count] = fd;
		else
			sys_close(fd);
		count += wanted;
	}
	return count;
}

ssize_t sys_receive_fds(int socket, void *data, size_t size, int fds[2], unsigned *count,
			bool *whole)
{
	union received control;
	struct iovec vector = {data, size};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	unsigned found = 0;
	ssize_t n;

	*count = 0;
	FAIL_ON_DEMAND(-ENOBUFS);
	n = CALL(recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	if (n < 0)
		return n;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
	     header = CMSG_NXTHDR(&message, header))
		found = take(header, fds, found);
	*count = found < 2 ? found : 2;
	*whole = found <= 2 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	return n;
}
