/* SPDX-License-Identifier: MIT */
/*
 * System calls and allocations, each returning -errno and each able to fail on demand.
 * Nothing else in the library calls the kernel.
 */
#ifndef VFC_KERNEL_SYS_H
#define VFC_KERNEL_SYS_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

int sys_open(const char *path, int flags);
int sys_create(const char *path, mode_t mode); /* truncates */
void sys_close(int fd);
int sys_dup(int fd); /* close-on-exec */
int sys_close_on_exec(int fd);
int sys_character_device(int fd, unsigned *major, unsigned *minor); /* 1: it is one; 0: it is not */
/* The same for a path. */
int sys_character_node(const char *path, unsigned *major, unsigned *minor);
int sys_ioctl(int fd, unsigned long request, void *argument);
/* For requests that take a value or a string instead of a structure. */
int sys_ioctl_value(int fd, unsigned long request, unsigned long value);
ssize_t sys_pread(int fd, void *data, size_t length, uint64_t position);
ssize_t sys_pwrite(int fd, const void *data, size_t length, uint64_t position);
ssize_t sys_read(int fd, void *data, size_t length);
ssize_t sys_read_now(int fd, void *data, size_t length); /* of an eventfd: never blocks; -EAGAIN */
ssize_t sys_write(int fd, const void *data, size_t length);
int sys_mmap(size_t length, int protection, int flags, int fd, uint64_t position, void **address);
void sys_munmap(void *address, size_t length); /* cannot fail for a whole mapping */
int sys_madvise(void *address, size_t length, int advice);
int sys_mlock(const void *address, size_t length);
void sys_munlock(const void *address, size_t length);
int sys_eventfd(void);                  /* non-blocking, close-on-exec */
int sys_eventfd_blocking(void);         /* non-blocking if sys_read_now() needs that */
int sys_nonblock(int fd);               /* of an eventfd */
void sys_eventfd_raise(int fd);         /* as the kernel raises it; cannot fail */
void sys_eventfd_return(int fd, uint64_t count); /* put a count back; cannot fail */
uint64_t sys_eventfd_take(int fd);      /* cannot fail; 0: nothing was raised */
int sys_epoll(void);
int sys_epoll_add(int epoll, int fd, uint64_t data);                /* for reading */
void sys_epoll_change(int epoll, int fd, uint64_t data, bool watch); /* stop or resume */
/*
 * Of the descriptors added by this, the one that became ready first is reported first. It is
 * reported once, until sys_epoll_again() says that it was read.
 */
int sys_epoll_queue(int epoll, int fd, uint64_t data);
/*
 * These two and sys_epoll_change() cannot fail for a descriptor of the set. Only adding needs
 * memory.
 */
void sys_epoll_again(int epoll, int fd, uint64_t data);
void sys_epoll_remove(int epoll, int fd);
int sys_epoll_wait(int epoll, uint64_t *data, int64_t timeout); /* ns; 1: @data fired, 0: none */
/*
 * Signals that are sent are blocked in the thread, since they are the application's. Signals that a
 * thread causes itself, such as SIGBUS, are not. @cpu: the only CPU that it may run on; -1: any.
 */
int sys_thread(pthread_t *thread, void *(*run)(void *), void *argument, int cpu);
int sys_sigaction(int number, const struct sigaction *action, struct sigaction *before);
void sys_signal_default(int number); /* from a handler: restore the default action */
void sys_signal_raise(int number);   /* from a handler: send it to this thread */
int sys_pid(void);
int sys_memfd(const char *name, uint64_t length);
/* Close what @fd was and put @with in its place, in one step for all threads. */
int sys_replace(int fd, int with);
/* Move memory over what is mapped at @to, in one step for all threads. */
int sys_move(void *from, size_t length, void *to);
int sys_poll(struct pollfd *fds, nfds_t count, int64_t timeout); /* ns; negative: no end */
int sys_uevents(size_t buffer); /* netlink socket, non-blocking; @buffer: bytes to receive into */
/* Return the message's length, which may be more than @size. @kernel: the kernel itself sent it. */
ssize_t sys_receive(int fd, void *data, size_t size, bool *kernel);
/* Send two descriptors with a message. The message goes whole, or not at all. */
int sys_send_fds(int socket, const void *data, size_t length, const int fds[2]);
/*
 * Receive such a message without blocking. @count: out, how many of the two descriptors came.
 * @whole: out, true if no more came and nothing was cut off. Every other descriptor that comes with
 * the message is closed.
 */
ssize_t sys_receive_fds(int socket, void *data, size_t size, int fds[2], unsigned *count, bool *whole);
int sys_timer(int64_t period);   /* timerfd, non-blocking; ns */
int sys_timer_clock_set(void);   /* timerfd; read() fails with ECANCELED once the clock is set */
int sys_readlink(const char *path, char *target, size_t size);  /* NUL-terminated */
int sys_realpath(const char *path, char *real); /* PATH_MAX bytes */
/* List a folder, sorted and without names that begin with a dot. Return: how many, or -errno. */
int sys_folder(const char *path, struct dirent ***entries);
void sys_folder_free(struct dirent **entries, int count); /* does nothing for a negative @count */
int sys_mkdir(const char *path, mode_t mode);                   /* succeeds if it exists already */
int sys_unlink(const char *path);
int sys_chown(const char *path, int uid, int gid);
int sys_owner(const char *path, int *uid, int *gid);
bool sys_exists(const char *path);
bool sys_accessible(const char *path); /* for reading and writing */
uint64_t sys_memlock_limit(void); /* bytes; UINT64_MAX: no limit */
size_t sys_page_size(void);
int sys_random(void *data, size_t length); /* at most 256 bytes */
int64_t sys_now(void); /* ns, monotonic */
int64_t sys_boot_time(void); /* ns, counts the time that the system sleeps */
void sys_sleep(int64_t ns);

void *sys_alloc(size_t length); /* zeroed; NULL when out of memory; free() it */

#ifdef VFC_FAULT_INJECTION
/*
 * Make the @n-th call from now on fail; 0: none. See tests/unit. sys_fault_count() tells how many
 * calls that can fail were made since. Both are process-wide, because this build is for tests only.
 */
void sys_fault_arm(unsigned n);
unsigned sys_fault_count(void);
/* Bytes of address space that the library has mapped and not unmapped. */
int64_t sys_mapped(void);
#endif

#endif
