/* SPDX-License-Identifier: MIT */
/* Small readers of sysfs, and the facts that other layers ask of it for their hints. */
#ifndef VFC_PCI_SYSFS_H
#define VFC_PCI_SYSFS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vfiocore/pci.h>

#define SYSFS_PATH 256

/* "/sys", or what VFIOCORE_SYSFS names (tests; ignored in a set-user-id program). */
const char *sysfs_root(void);

/* "/proc", or what VFIOCORE_PROC names, likewise. */
const char *proc_root(void);

void sysfs_path(char path[SYSFS_PATH], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void proc_path(char path[SYSFS_PATH], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A file of at most @size - 1 bytes, or its beginning; "" and -errno. */
int sysfs_text(const char *path, char *text, size_t size);
/* A whole file, NUL-terminated; free() it. */
int sysfs_whole(const char *path, char **text);
/* A file's first line without its newline, or -errno. */
int sysfs_read(const char *path, char *text, size_t size);
/* A file's number, decimal or 0x; or @otherwise. */
int64_t sysfs_number(const char *path, int64_t otherwise);
int sysfs_write(const char *path, const char *text);
/* The last component of what a link points at; "" when there is no link. */
void sysfs_link(const char *path, char *name, size_t size);

/* The name of the one thing in a folder; "" when there is none. */
void sysfs_entry(const char *path, char *name, size_t size);

/* "1:0.0", "01:00.0", "0000:01:00.0" to the canonical form; -EINVAL with a record. */
int pci_canonical(const char *name, char canonical[VFC_PCI_NAME]);
/* The canonical name of a device that exists; -ENODEV with a record and a hint. */
int pci_find(const char *name, char canonical[VFC_PCI_NAME]);

/*
 * "0000:00:1f.3 is bound to i801_smbus, 0000:00:1f.2 to ahci": the members of a group that keep it
 * from being viable; "" when there are none.
 */
void pci_group_holders(int group, char *text, size_t size);

/* What is in driver_override; "" when it is unset. */
void pci_override(const char *name, char *text, size_t size);

/* opener.c: does somebody have the device, or another of its group, open through VFIO? */
bool pci_is_open(const char *name);
/* -EBUSY with a record that tells who, as far as that is known. */
int pci_check_closed(const char *name);
/* vfc_pci_in_use(), for those who report under their own name. */
int pci_in_use(const char *name, const struct vfc_pci_use_opts *opts, char *why, size_t size);
/* Is it the name of a driver of VFIO's? vfio-pci has variants for certain devices, as mlx5_vfio_pci. */
bool pci_is_vfio_driver(const char *driver);
/* bind.c: what it remembers is of a device that is no more. */
void pci_bind_forget(const char *name);

/* Did VFIO make the group up, for a device that no IOMMU translates for (vfio_noiommu_group_alloc())? */
bool pci_group_unsafe(int group);
/* Its device node. */
#define PCI_GROUP_NODE 40
void pci_group_node(int group, char node[PCI_GROUP_NODE]);

#endif
