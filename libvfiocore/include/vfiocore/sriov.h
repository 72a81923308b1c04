/* SPDX-License-Identifier: MIT */
/*
 * Single-root I/O virtualization: virtual functions (VFs) of a physical one (PF), which are devices
 * of their own, opened as any other. What guards them is a token, a UUID: whoever opens a VF whose
 * PF is bound to vfio-pci must know the one that the PF's owner set, see vfc_device_opts.vf_token.
 * The transport cdev takes it from Linux 6.17 on (6.17 and 6.18 misread it), group from 5.7 on.
 * A reset of the PF, as when it is opened, resets its VFs: they are to be set up anew.
 */
#ifndef VFIOCORE_SRIOV_H
#define VFIOCORE_SRIOV_H

#include "pci.h"

struct vfc_device;

#define VFC_VF_TOKEN 16 /* bytes of a token, in the order in which a UUID is written */

VFC_BEGIN_DECLS

/*
 * vfc_sriov_enable() - make virtual functions of a physical one, and bind them.
 * @name: the PF's BDF. It may be bound to vfio-pci, where the module's parameter enable_sriov is
 * on, or to a host driver that can do it; and may be open.
 * @count: at least 1, at most vfc_pci_info.sriov_total. It has as many already: they are bound.
 * @opts: how each is bound, as for vfc_pci_bind(), whatever driver took it first; NULL: to
 * vfio-pci. On failure those that were made are gone again.
 * Errors: -EOPNOTSUPP (no SR-IOV, or the driver does not do it), -ERANGE (@count), -ENODEV (no such
 * device, or bound to no driver), -EBUSY (it has another number of them), -EACCES, -ENOMEM (no bus
 * numbers or address space left), those of vfc_pci_bind(). Needs root. Not safe against other
 * processes that do the same to this PF.
 * Source: Documentation/PCI/pci-iov-howto.rst, sriov_numvfs.
 */
VFC_API int vfc_sriov_enable(const char *name, uint32_t count, const struct vfc_pci_bind_opts *opts);

/*
 * vfc_sriov_disable() - remove all virtual functions of a physical one. If there are none, nothing
 * is done. The kernel would wait without end for a function that is open, so that is refused first.
 * Errors: -EBUSY (some are open: the hint names them), -EOPNOTSUPP, -ENODEV, -EACCES. Needs root.
 */
VFC_API int vfc_sriov_disable(const char *name);

/*
 * vfc_sriov_functions() - names of the virtual functions that a physical one has, in their order.
 * @names: room for @count; may be NULL when @count is 0.
 * Return: how many there are, which may be more than @count. Errors: -EINVAL, -ENODEV. Thread-safe.
 * Source: /sys/bus/pci/devices/NAME/virtfnN.
 */
VFC_API int vfc_sriov_functions(const char *name, char (*names)[VFC_PCI_NAME], size_t count);

/*
 * vfc_sriov_set_token() - set the token that guards the virtual functions of an open physical one.
 * It may be set again at any time, and stays until the PF leaves vfio-pci. Until it is set the
 * first time, the kernel has a random one that nobody knows. While VFs are open, opening the PF
 * takes the token, too.
 * Errors: -EOPNOTSUPP (it is no PF), -ENODEV (released). Thread-safe.
 * Source: VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, Linux 5.7.
 */
VFC_API int vfc_sriov_set_token(struct vfc_device *device, const uint8_t token[VFC_VF_TOKEN]);

/*
 * vfc_token_parse() - a token from the text of a UUID, "2ab74924-c335-45f4-9b16-8569e5b08258".
 * Letters in either case. Errors: -EINVAL (@text is no UUID). Thread-safe.
 */
VFC_API int vfc_token_parse(const char *text, uint8_t token[VFC_VF_TOKEN]);

VFC_END_DECLS
#endif
