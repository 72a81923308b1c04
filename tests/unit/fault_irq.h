/* SPDX-License-Identifier: MIT */
#ifndef VFC_TEST_FAULT_IRQ_H
#define VFC_TEST_FAULT_IRQ_H

#include <vfiocore.h>

/* Every set that the device offers, in turn. @rc: the first failure. */
void fault_interrupts(struct vfc_device *device, int *rc);

#endif
