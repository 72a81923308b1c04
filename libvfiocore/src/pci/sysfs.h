/* SPDX-License-Identifier: MIT */
/* Small readers of sysfs, and facts from it that other layers need for their hints. */
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

/* "/proc", or what VFIOCORE_PROC names (tests; ignored in a set-user-id program). */
const char *proc_root(void);

void sysfs_path(char path[SYSFS_PATH], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void proc_path(char path[SYSFS_PATH], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Read the first @size - 1 bytes of a file. On failure @text is "". */
int sysfs_text(const char *path, char *text, size_t size);
/* Read a whole file. The text ends with a NUL; free() it. */
int sysfs_whole(const char *path, char **text);
/* Read a file's first line without its newline, or return -errno. */
int sysfs_read(const char *path, char *text, size_t size);
/* Read a number, decimal or 0x, from a file. Return @otherwise if there is none. */
int64_t sysfs_number(const char *path, int64_t otherwise);
int sysfs_write(const char *path, const char *text);
/* Get the last component of a link's target; "" if there is no link. */
void sysfs_link(const char *path, char *name, size_t size);

/* Get the name of the first entry of a folder; "" if there is none. */
void sysfs_entry(const char *path, char *name, size_t size);

/*
 * Turn "1:0.0", "01:00.0" or "0000:01:00.0" into the canonical form, or return -EINVAL with a
 * record.
 */
int pci_canonical(const char *name, char canonical[VFC_PCI_NAME]);
/* Get the canonical name of a device that exists, or return -ENODEV with a record and a hint. */
int pci_find(const char *name, char canonical[VFC_PCI_NAME]);

/*
 * List the members of a group that keep it from being viable: "0000:00:1f.3 is bound to i801_smbus,
 * 0000:00:1f.2 to ahci". The text is "" if there are none.
 */
void pci_group_holders(int group, char *text, size_t size);

/* Get what is in driver_override; "" if it is unset. */
void pci_override(const char *name, char *text, size_t size);

/* opener.c: does somebody have the device, or another of its group, open through VFIO? */
bool pci_is_open(const char *name);
/* Return: 0; -EBUSY with a record that tells who has it open, as far as that is known. */
int pci_check_closed(const char *name);
/* As vfc_pci_in_use(), for callers that report under their own name. */
int pci_in_use(const char *name, const struct vfc_pci_use_opts *opts, char *why, size_t size);
/* Is it the name of a VFIO driver: vfio-pci, or a variant of it such as mlx5_vfio_pci? */
bool pci_is_vfio_driver(const char *driver);
/* bind.c: forget which driver a device had, because the device is gone. */
void pci_bind_forget(const char *name);

/* Did VFIO make the group for a device without an IOMMU (vfio_noiommu_group_alloc())? */
bool pci_group_unsafe(int group);
/* The group's device node. */
#define PCI_GROUP_NODE 40
void pci_group_node(int group, char node[PCI_GROUP_NODE]);

#endif
