/* SPDX-License-Identifier: MIT */
/*
 * Does the host need a device right now? A device's interfaces and disks are those whose folder in
 * sysfs lies below the device's own. Everything that is stacked on those belongs to the device as
 * well: bonds, bridges, device mapper, md. Each of them is then looked for in what /proc and sysfs
 * say of routes, mounts and swap.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfiocore/pci.h>

#include "base/error.h"
#include "base/sized.h"
#include "kernel/sys.h"
#include "pci/sysfs.h"

/*
 * The kernel stacks interfaces at most 8 deep (MAX_NEST_DEV). Links that form a loop end here too.
 */
#define DEEPEST 8

#define ROUTE_UP 1 /* linux/route.h: RTF_UP */

struct look {
	const char *sysfs;
	const char *proc;
	char device[PATH_MAX]; /* the device's folder, with all links resolved */
	char *why;
	size_t size;
};

/*
 * How sysfs links an interface or a disk to others: by entries of @folder that begin with @prefix.
 */
struct links {
	const char *folder;
	const char *prefix;
};

/* Devices that can be stacked. Links lead to those below and to those above. */
struct kind {
	const char *folder; /* in sysfs, with all devices of the kind */
	const char *noun;
	struct links below;
	struct links above;
};

static const struct kind interfaces = {"class/net", "interface", {".", "lower_"}, {".", "upper_"}};
static const struct kind disks = {"class/block", "disk", {"slaves", ""}, {"holders", ""}};

static void make_path(char path[PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void make_path(char path[PATH_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(path, PATH_MAX, format, args);
	va_end(args);
}

static int because(const struct look *look, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int because(const struct look *look, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(look->why, look->size, format, args);
	va_end(args);
	return n;
}

/* A missing file counts as empty. An older kernel need not have it, and devices come and go. */
static int not_read(int rc, const char *path)
{
	if (rc == -ENOENT || rc == -ENODEV || rc == -ENOTDIR)
		return 0;
	return vfc_fail(rc, VFC_REASON_NONE, WHERE("read", path),
			"so it is not known whether the host uses the device");
}

static int list(const char *path, struct dirent ***entries)
{
	int n = sys_folder(path, entries);

	if (n >= 0)
		return n;
	*entries = NULL;
	return not_read(n, path);
}

static bool begins(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return !strncmp(path, folder, length) && (path[length] == '/' || path[length] == '\0');
}

static int stands_on(const struct look *look, const struct kind *kind, const char *path, int depth);

/* Ask stands_on() about the links in @folder that begin with @prefix. */
static int any_stands_on(const struct look *look, const struct kind *kind, const char *folder,
			 const char *prefix, int depth)
{
	struct dirent **entries;
	int rc = 0, n = list(folder, &entries);

	for (int i = 0; i < n && rc == 0; i++) {
		char path[PATH_MAX];

		if (entries[i]->d_type != DT_LNK || !begins(entries[i]->d_name, prefix))
			continue;
		make_path(path, "%s/%s", folder, entries[i]->d_name);
		rc = stands_on(look, kind, path, depth);
	}
	sys_folder_free(entries, n);
	return n < 0 ? n : rc;
}

/* Find the folder of the subsystem ("nvme-subsys0") that @path lies in. False: there is none. */
static bool find_subsystem(const char *path, char folder[PATH_MAX])
{
	static const char part[] = "/nvme-subsys";
	const char *at = path;

	while ((at = strstr(at, part))) {
		at += strlen(part);
		if (*at < '0' || *at > '9')
			continue;
		at += strcspn(at, "/");
		make_path(folder, "%.*s", (int)(at - path), path);
		return true;
	}
	return false;
}

/* A multipath namespace belongs to its subsystem, which has a link to each of its controllers. */
static int subsystem_stands_on(const struct look *look, const char *namespace, int depth)
{
	char folder[PATH_MAX];

	return find_subsystem(namespace, folder)
		       ? any_stands_on(look, &disks, folder, "nvme", depth)
		       : 0;
}

/*
 * Return 1 if the interface or disk in folder @path is the device's or is stacked on one that is.
 */
static int stands_on(const struct look *look, const struct kind *kind, const char *path, int depth)
{
	char real[PATH_MAX], folder[PATH_MAX];
	int rc = sys_realpath(path, real);

	if (rc < 0)
		return not_read(rc, path);
	if (is_below(real, look->device))
		return 1;
	if (depth == DEEPEST)
		return 0;
	make_path(folder, "%s/%s", real, kind->below.folder);
	rc = any_stands_on(look, kind, folder, kind->below.prefix, depth + 1);
	return rc || kind != &disks ? rc : subsystem_stands_on(look, real, depth + 1);
}

/*
 * Find the device's interfaces or disks and those stacked on them. Free them with
 * sys_folder_free().
 */
static int find_all(const struct look *look, const struct kind *kind, struct dirent ***entries)
{
	char folder[PATH_MAX], path[PATH_MAX];
	int kept = 0, rc = 0, n;

	make_path(folder, "%s/%s", look->sysfs, kind->folder);
	n = list(folder, entries);
	for (int i = 0; i < n; i++) {
		struct dirent *entry = (*entries)[i];

		make_path(path, "%s/%s", folder, entry->d_name);
		if (rc == 0)
			rc = stands_on(look, kind, path, 0);
		if (rc > 0)
			(*entries)[kept++] = entry;
		else
			free(entry);
		rc = rc < 0 ? rc : 0;
	}
	if (rc == 0)
		return n < 0 ? n : kept;
	sys_folder_free(*entries, kept);
	*entries = NULL;
	return rc;
}

/* --- the files of /proc -------------------------------------------------------------------- */

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

/* Get word @n of a line, where blanks or tabs separate words; "" beyond the last. */
static void word(const char *line, unsigned n, char *text, size_t size)
{
	size_t length;

	line += strspn(line, " \t");
	for (; n; n--) {
		line += strcspn(line, " \t\n");
		line += strspn(line, " \t");
	}
	length = strcspn(line, " \t\n");
	snprintf(text, size, "%.*s", (int)length, line);
}

/* mounts and swaps write a space as \040, and other characters in the same way. Undo this. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned byte;

		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1 && strlen(text) > 3) {
			*to++ = (char)byte;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

struct route {
	char destination[INET6_ADDRSTRLEN];
	unsigned prefix;
	bool is_local; /* every interface that is up has such a route, used or not */
};

/*
 * "eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF ...". Addresses are numbers in this CPU's byte order.
 */
static bool route4(const char *line, const char *name, struct route *route)
{
	char interface[32], destination[16], flags[16], mask[16];
	uint32_t address;

	word(line, 0, interface, sizeof(interface));
	word(line, 1, destination, sizeof(destination));
	word(line, 3, flags, sizeof(flags));
	word(line, 7, mask, sizeof(mask));
	if (strcmp(interface, name) || !mask[0] || !(strtoul(flags, NULL, 16) & ROUTE_UP))
		return false;
	address = (uint32_t)strtoul(destination, NULL, 16);
	route->prefix = (unsigned)__builtin_popcountl(strtoul(mask, NULL, 16));
	route->is_local = false;
	inet_ntop(AF_INET, &address, route->destination, sizeof(route->destination));
	return true;
}

/* "20010db8... 40 000... 00 000... METRIC REFERENCES USES FLAGS eth0" */
static bool route6(const char *line, const char *name, struct route *route)
{
	char interface[32], destination[33], prefix[8], flags[16];
	unsigned char bytes[16];

	word(line, 0, destination, sizeof(destination));
	word(line, 1, prefix, sizeof(prefix));
	word(line, 8, flags, sizeof(flags));
	word(line, 9, interface, sizeof(interface));
	if (strcmp(interface, name) || !(strtoul(flags, NULL, 16) & ROUTE_UP))
		return false;
	for (int i = 0; i < 16; i++)
		if (sscanf(destination + 2 * i, "%2hhx", &bytes[i]) != 1)
			return false;
	route->prefix = (unsigned)strtoul(prefix, NULL, 16);
	route->is_local = bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
	inet_ntop(AF_INET6, bytes, route->destination, sizeof(route->destination));
	return true;
}

typedef bool route_reader(const char *line, const char *name, struct route *route);

/* An interface or a disk, and the file of /proc that would show a use of it. */
struct subject {
	const struct look *look;
	const struct kind *kind;
	const char *name;
	const char *text;
	route_reader *route;
};

/* A question about a subject. Its answer is 0 (no), 1 or more (yes, and why is said), or -errno. */
struct question {
	int (*ask)(const struct subject *subject);
	const char *file; /* NULL: the answer is in sysfs */
	route_reader *route;
};

static int default_route(const struct subject *subject)
{
	struct route route;

	for (const char *line = subject->text; *line; line = next_line(line))
		if (subject->route(line, subject->name, &route) && !route.prefix)
			return because(subject->look, "the default route goes through it, by %s",
				       subject->name);
	return 0;
}

static int other_route(const struct subject *subject)
{
	struct route route;

	for (const char *line = subject->text; *line; line = next_line(line))
		if (subject->route(line, subject->name, &route) && !route.is_local)
			return because(subject->look, "the route to %s/%u goes through it, by %s",
				       route.destination, route.prefix, subject->name);
	return 0;
}

/*
 * "22 1 259:2 / /home rw - ext4 /dev/root rw". The source may have any name, so compare the number,
 * which is the disk's. btrfs has a number of its own there, see in_btrfs().
 */
static int mounted(const struct subject *subject)
{
	char path[PATH_MAX], number[32], field[512];
	int rc;

	make_path(path, "%s/%s/%s/dev", subject->look->sysfs, subject->kind->folder, subject->name);
	rc = sysfs_read(path, number, sizeof(number));
	if (rc < 0)
		return not_read(rc, path);
	if (!number[0])
		return 0;
	for (const char *line = subject->text; *line; line = next_line(line)) {
		word(line, 2, field, sizeof(field));
		if (strcmp(field, number))
			continue;
		word(line, 4, field, sizeof(field));
		unescape(field);
		return because(subject->look, "its %s %s is mounted on %s", subject->kind->noun,
			       subject->name, field);
	}
	return 0;
}

static int swapped_to(const struct subject *subject)
{
	char field[512], real[PATH_MAX];

	for (const char *line = subject->text; *line; line = next_line(line)) {
		const char *last;

		word(line, 0, field, sizeof(field));
		unescape(field);
		if (!begins(field, "/dev/"))
			continue;
		last = strrchr(sys_realpath(field, real) < 0 ? field : real, '/');
		if (!strcmp(last + 1, subject->name))
			return because(subject->look, "its %s %s is swap", subject->kind->noun,
				       subject->name);
	}
	return 0;
}

/* A bridge without a route or a volume without a mount may be used by a virtual machine. */
static int stacked(const struct subject *subject)
{
	size_t prefix = strlen(subject->kind->above.prefix);
	char folder[PATH_MAX];
	struct dirent **entries;
	int rc = 0, n;

	make_path(folder, "%s/%s/%s/%s", subject->look->sysfs, subject->kind->folder, subject->name,
		  subject->kind->above.folder);
	n = list(folder, &entries);
	for (int i = 0; i < n && rc == 0; i++)
		if (begins(entries[i]->d_name, subject->kind->above.prefix))
			rc = because(subject->look, "%s stands on its %s %s",
				     entries[i]->d_name + prefix, subject->kind->noun,
				     subject->name);
	sys_folder_free(entries, n);
	return n < 0 ? n : rc;
}

/* A btrfs may lie on several disks, of which a mount names only one. */
static int in_btrfs(const struct subject *subject)
{
	char folder[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
	struct dirent **entries;
	int rc = 0, n;

	make_path(folder, "%s/fs/btrfs", subject->look->sysfs);
	n = list(folder, &entries);
	for (int i = 0; i < n && rc == 0; i++) {
		make_path(path, "%s/%s/devices/%s", folder, entries[i]->d_name, subject->name);
		rc = sys_realpath(path, real);
		rc = rc < 0 ? not_read(rc, path)
			    : because(subject->look, "its %s %s belongs to a mounted btrfs",
				      subject->kind->noun, subject->name);
	}
	sys_folder_free(entries, n);
	return n < 0 ? n : rc;
}

/*
 * A disk that somebody claims, as ZFS does with those of a pool, cannot be opened with O_EXCL.
 * Device nodes belong to this system, so there are none for another tree of sysfs.
 */
static int claimed(const struct subject *subject)
{
	char node[PATH_MAX];
	int fd;

	if (strcmp(subject->look->sysfs, "/sys"))
		return 0;
	make_path(node, "/dev/%s", subject->name);
	for (char *at = node; *at; at++)
		*at = *at == '!' ? '/' : *at;
	fd = sys_open(node, O_RDONLY | O_EXCL | O_NONBLOCK);
	sys_close(fd);
	return fd == -EBUSY ? because(subject->look,
				      "its %s %s is claimed by a file system or a program",
				      subject->kind->noun, subject->name)
			    : 0;
}

static const struct question network[] = {
	{default_route, "net/route", route4},
	{default_route, "net/ipv6_route", route6},
	{other_route, "net/route", route4},
	{other_route, "net/ipv6_route", route6},
	{stacked, NULL, NULL},
	{NULL, NULL, NULL},
};
static const struct question storage[] = {
	{mounted, "self/mountinfo", NULL},
	{swapped_to, "swaps", NULL},
	{in_btrfs, NULL, NULL},
	{stacked, NULL, NULL},
	{claimed, NULL, NULL},
	{NULL, NULL, NULL},
};

static int ask(const struct look *look, const struct kind *kind, const struct question *question,
	       struct dirent *const *entries, int n)
{
	struct subject subject = {.look = look, .kind = kind, .route = question->route};
	char path[PATH_MAX], *text = NULL;
	int rc = 0;

	if (question->file) {
		make_path(path, "%s/%s", look->proc, question->file);
		rc = sysfs_whole(path, &text);
	}
	if (rc < 0)
		return not_read(rc, path);
	subject.text = text;
	for (int i = 0; i < n && rc == 0; i++) {
		subject.name = entries[i]->d_name;
		rc = question->ask(&subject);
	}
	free(text);
	return rc;
}

static int ask_all(const struct look *look, const struct kind *kind,
		   const struct question *question)
{
	struct dirent **entries;
	int rc = 0, n = find_all(look, kind, &entries);

	if (n < 0)
		return n;
	for (; n && rc == 0 && question->ask; question++)
		rc = ask(look, kind, question, entries, n);
	sys_folder_free(entries, n);
	return rc;
}

static int look_at(struct look *look, const char *name)
{
	char path[PATH_MAX];
	int rc;

	if (look->size)
		look->why[0] = '\0';
	make_path(path, "%s/bus/pci/devices/%s", look->sysfs, name);
	rc = sys_realpath(path, look->device);
	if (rc == -ENOENT)
		return vfc_fail(ENODEV, VFC_REASON_NO_DEVICE, WHERE(.object = name),
				"no such PCI device in %s/bus/pci/devices", look->sysfs);
	if (rc < 0)
		return not_read(rc, path);
	rc = ask_all(look, &interfaces, network);
	return rc ? rc : ask_all(look, &disks, storage);
}

int pci_in_use(const char *name, const struct vfc_pci_use_opts *opts, char *why, size_t size)
{
	struct look look = {.sysfs = sysfs_root(), .proc = proc_root(), .why = why, .size = size};
	struct vfc_pci_use_opts own;
	char canonical[VFC_PCI_NAME];
	int rc = pci_canonical(name, canonical);

	if (rc < 0)
		return rc;
	opts = OPTIONS(vfc_pci_use_opts, opts, &own);
	if (!opts)
		return OPTIONS_REFUSED;
	if (opts->sysfs)
		look.sysfs = opts->sysfs;
	if (opts->proc)
		look.proc = opts->proc;
	return look_at(&look, canonical);
}

int vfc_pci_in_use(const char *name, const struct vfc_pci_use_opts *opts, char *why, size_t size)
{
	return vfc_done(pci_in_use(name, opts, why, size));
}
