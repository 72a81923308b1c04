/* SPDX-License-Identifier: MIT */
/* The virtual functions of a network interface, whatever its driver; see vfiocore/nic_vf.h. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/sized.h"
#include "device/object.h"
#include "irq/irq.h"
#include "nic/nic.h"

int nic_random_mac(uint8_t mac[6])
{
	int rc = sys_random(mac, 6);

	if (rc < 0)
		return vfc_fail(rc, VFC_REASON_NONE, WHERE("getrandom"), "no random MAC address");
	mac[0] = (uint8_t)((mac[0] | 2) & ~1);
	return 0;
}

static int check_vfs(struct vfc_nic *nic)
{
	if (!nic->driver->vfs)
		return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
				"%s knows of no virtual functions", nic->driver->name);
	if (nic->driver->vfs->count(nic))
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = nic->device->name),
			"there were no virtual functions when this was opened or reset: make them "
			"(vfc_sriov_enable()) and reset it");
}

static int check_vf(struct vfc_nic *nic, uint32_t vf)
{
	int rc = check_vfs(nic);

	if (rc < 0 || vf < nic->driver->vfs->count(nic))
		return rc;
	return vfc_fail(ERANGE, VFC_REASON_RANGE, WHERE(.object = nic->device->name),
			"virtual function %u of %u", vf, nic->driver->vfs->count(nic));
}

/* The eventfd is emptied before the driver lets the vector fire again, so no message is missed. */
static int serve_vfs(struct vfc_nic *nic)
{
	uint64_t fired;
	int rc = check_vfs(nic);

	if (rc == 0)
		rc = irq_consume(nic->irq, nic->driver->vfs->vector(nic), &fired, false);
	return rc < 0 ? rc : nic->driver->vfs->serve(nic);
}

int vfc_nic_vf_serve(struct vfc_nic *nic)
{
	return vfc_done(serve_vfs(nic));
}

int vfc_nic_vf_fd(struct vfc_nic *nic)
{
	int rc = check_vfs(nic);

	return vfc_done(rc < 0 ? rc : vfc_irq_fd(nic->irq, nic->driver->vfs->vector(nic)));
}

int vfc_nic_vf_info(struct vfc_nic *nic, uint32_t vf, struct vfc_nic_vf_info *info)
{
	struct vfc_nic_vf_info now = {0};
	int rc = ANSWER_CHECK(vfc_nic_vf_info, info);

	if (rc == 0)
		rc = check_vf(nic, vf);
	if (rc < 0)
		return vfc_done(rc);
	nic->driver->vfs->info(nic, vf, &now);
	sized_answer(info, &now, sizeof(now));
	return 0;
}

int vfc_nic_vf_set_mac(struct vfc_nic *nic, uint32_t vf, const uint8_t mac[6])
{
	int rc = check_vf(nic, vf);

	return vfc_done(rc < 0 ? rc : nic->driver->vfs->set_mac(nic, vf, mac));
}
