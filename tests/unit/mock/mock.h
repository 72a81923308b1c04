/* SPDX-License-Identifier: MIT */
/*
 * A kernel with VFIO and iommufd in this process, for what no test machine has or what none can be
 * made to answer. It stands in for the C library's system calls (calls.c), so the library under test
 * is the one that is built for all unit tests, and nothing in it knows of this.
 *
 * Containers and groups (vfio.c), devices (device.c) and iommufd (iommufd.c) keep the state that the
 * kernel keeps, and refuse what it refuses with the errors of drivers/vfio and drivers/iommu/iommufd.
 * A test describes its machine, makes requests fail or answers them itself, and compares what was
 * asked for (MOCK_EXPECT) and what is left (mock_check_idle).
 */
#ifndef VFC_TEST_MOCK_H
#define VFC_TEST_MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/iommufd.h"
#include "kernel/uapi.h"

#define MOCK_PAGE UINT64_C(4096)
#define MOCK_DEVICES 4
#define MOCK_GROUPS 4
#define MOCK_RANGES 8
#define MOCK_MAPS 32
#define MOCK_OBJECTS 64

/* Kinds of files, as bits, so that a failure can be one of several. */
enum mock_kind {
	MOCK_NONE = 0,
	MOCK_CONTAINER = 1 << 0, /* /dev/vfio/vfio */
	MOCK_IOMMUFD = 1 << 1,   /* /dev/iommu */
	MOCK_GROUP = 1 << 2,     /* /dev/vfio/GROUP, /dev/vfio/noiommu-GROUP */
	MOCK_CDEV = 1 << 3,      /* /dev/vfio/devices/vfioN */
	MOCK_DEVICE = 1 << 4,    /* of VFIO_GROUP_GET_DEVICE_FD */
	MOCK_PAGEMAP = 1 << 5,   /* /proc/self/pagemap */
	MOCK_BUFFER = 1 << 6,    /* a dma-buf, or a queue of iommufd */
};

/* A device as the test describes it. */
struct mock_device {
	const char *name;   /* "0000:01:00.0"; NULL: there is no such */
	int group;          /* IOMMU group; -1: in none */
	bool noiommu;       /* nothing translates: the group, if any, is one that VFIO made up */
	bool cdev;          /* it has a node of its own: vfioN, or noiommu-vfioN */
	const char *driver; /* NULL: vfio-pci */
	uint32_t caps;      /* bytes of capabilities behind a region's info */
	/* What the test does not touch. */
	int memory; /* behind its regions: region n begins at n << 40 */
	unsigned opened;
	uint32_t id;    /* in the iommufd; 0: not bound */
	uint32_t table; /* attached to; 0: nothing */
	uint32_t pasid, pasid_table; /* one PASID is kept */
	struct mock_file *iommufd;
};

struct mock_group {
	bool used, noiommu;
	int number;
	bool unviable; /* the test's: a host driver has a member */
	struct mock_file *opened, *container; /* or iommufd */
};

struct mock_map {
	uint64_t iova, length, va, ioas;
	uint32_t flags;
};

/* What a file keeps: the fields of its kind. */
struct mock_file {
	enum mock_kind kind;
	unsigned references; /* descriptors, and files that hold this one */
	int index;           /* of the group or device */
	uint32_t type;       /* container: the IOMMU type, once it is set */
	bool tracks;         /* container: dirty pages */
	uint32_t compat;     /* iommufd: the IOAS that plays the container */
	struct mock_map maps[MOCK_MAPS];
	size_t map_count;
	struct {
		uint32_t kind; /* the request that made it; 0: the id is free */
		uint32_t parent, users, flags;
		bool tracks;
	} objects[MOCK_OBJECTS]; /* iommufd: by id */
};

/* The @skip-th such request fails (0: the next), once, unless it is @always. */
struct mock_failure {
	uint32_t kinds;        /* enum mock_kind; 0: an open() */
	unsigned long request;
	const char *path;      /* of an open() */
	int error;             /* positive */
	unsigned skip;
	bool always;
};

/* A test's own answer to a request: MOCK_ASIDE for "as usual", else 0 or more, or -errno. */
#define MOCK_ASIDE (-100000)
typedef int (*mock_answer)(struct mock_file *file, unsigned long request, void *argument);

extern struct mock {
	/* The machine. */
	struct mock_device devices[MOCK_DEVICES];
	struct mock_group groups[MOCK_GROUPS];
	struct vfio_iova_range ranges[MOCK_RANGES]; /* windows; none: one of 48 bits */
	size_t range_count;
	uint32_t types;        /* bit n: the container offers IOMMU type n */
	uint64_t page_sizes;
	uint64_t entry_limit;  /* type1's dma_entry_limit */
	uint64_t memlock;      /* bytes that may be pinned or locked */
	bool no_caps;          /* type1 tells no capabilities (before Linux 5.4) */
	bool unaligned;        /* they begin at an odd multiple of four bytes (before Linux 6.6) */
	bool fdinfo;           /* a device's descriptor tells its path (since Linux 7.2) */
	uint64_t (*frame)(uintptr_t va); /* /proc/self/pagemap; NULL: memory lies together */
	uint64_t together;     /* GET_PA: contiguous bytes at most; 0: all */
	/* The script. */
	struct mock_failure failures[8];
	mock_answer answer;
	int access_error;      /* of the next pread() or pwrite() of a device; positive */
	/* What happened. */
	char log[8000];
	uint64_t pinned, locked; /* bytes, now */
	int64_t mapped;          /* bytes that mmap() gave and munmap() has not taken, since the start */
} mock;

/* A machine with no device, two IOMMU types and a fabricated sysfs that VFIOCORE_SYSFS names. */
void mock_start(void);
void mock_end(void);
/* Another device; its index, which is that of its node, too. */
int mock_add(struct mock_device device);
/* A file of the fabricated tree: "sys/..." , "dev/..." or "proc/..."; NULL removes it, or an empty folder. */
void mock_write(const char *path, const char *text);
void mock_link(const char *path, const char *target);

void mock_fail(uint32_t kinds, unsigned long request, int error);
void mock_fail_nth(uint32_t kinds, unsigned long request, unsigned skip, int error);
void mock_fail_open(const char *path, int error);
void mock_forget_failures(void);

/* The log holds "verb object;" of each request that changes something, since it was last compared. */
void mock_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mock_expect(const char *file, int line, const char *log);
#define MOCK_EXPECT(log) mock_expect(__FILE__, __LINE__, log)

/* No file is open, nothing is pinned, locked or mapped but what was at mock_start(). */
void mock_check_idle(const char *file, int line);
#define MOCK_IDLE() mock_check_idle(__FILE__, __LINE__)

/* Is all of it mapped in this process? */
bool mock_present(uint64_t va, uint64_t length);

/* Between the files of the mock. */

struct mock_file *mock_file(int fd);
struct mock_file *mock_new_file(enum mock_kind kind, int index);
int mock_new_fd(struct mock_file *file, int memory); /* memory: -1: none of its own */
void mock_hold(struct mock_file *file);
void mock_put(struct mock_file *file);
const char *mock_root(void);

int mock_find_group(int number);
int mock_open_node(const char *path);
int mock_container(struct mock_file *file, unsigned long request, void *argument);
int mock_group(struct mock_file *file, unsigned long request, void *argument);
int mock_compat(struct mock_file *file, unsigned long request, void *argument);
int mock_device(struct mock_file *file, unsigned long request, void *argument);
int mock_iommufd(struct mock_file *file, unsigned long request, void *argument);
void mock_group_gone(struct mock_file *file);
void mock_device_gone(struct mock_file *file);

/* The maps of a container, or of an IOAS: @ioas is 0 for a container. */
int mock_map(struct mock_file *file, uint64_t ioas, uint64_t va, uint64_t iova, uint64_t length,
	     uint32_t flags, bool file_memory);
/* Whole mappings; the bytes, or -errno with @edge for one that lies across an end. */
int64_t mock_unmap(struct mock_file *file, uint64_t ioas, uint64_t iova, uint64_t length, int edge);
bool mock_in_windows(uint64_t iova, uint64_t length);
/* iommufd's objects. */
uint32_t mock_object(struct mock_file *file, uint32_t kind, uint32_t parent);
bool mock_is(const struct mock_file *file, uint32_t id, uint32_t kind);

#endif
