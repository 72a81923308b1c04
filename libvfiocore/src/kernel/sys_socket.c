/* SPDX-License-Identifier: MIT */
/* Descriptors in messages: unix(7), cmsg(3). */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kernel/call.h"
#include "kernel/sys.h"

/* Room for two: what does not fit the kernel closes, and says so. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

int sys_send_fds(int socket, const void *data, size_t length, const int fds[2])
{
	union control control = {.header = {.cmsg_len = CMSG_LEN(2 * sizeof(int)),
					    .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec vector = {(void *)data, length};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n;

	FAIL_ON_DEMAND(-ENOBUFS);
	memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
	n = CALL(sendmsg(socket, &message, MSG_NOSIGNAL));
	return n < 0 ? (int)n : (size_t)n == length ? 0 : -EMSGSIZE;
}

/* There are two at most: that is the room. */
static unsigned take(struct msghdr *message, int *fds)
{
	unsigned count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		size_t bytes = header->cmsg_len - CMSG_LEN(0);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds + count, CMSG_DATA(header), bytes);
		count += (unsigned)(bytes / sizeof(int));
	}
	return count;
}

ssize_t sys_receive_fds(int socket, void *data, size_t size, int fds[2], unsigned *count, bool *whole)
{
	union control control;
	struct iovec vector = {data, size};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n;

	*count = 0;
	FAIL_ON_DEMAND(-ENOBUFS);
	n = CALL(recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	if (n < 0)
		return n;
	*count = take(&message, fds);
	*whole = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	return n;
}
