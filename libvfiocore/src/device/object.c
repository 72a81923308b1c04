/* SPDX-License-Identifier: MIT */
#include "device/object.h"

#include <errno.h>

#include "base/error.h"

void device_init(struct vfc_device *device)
{
	pthread_mutex_init(&device->release_lock, NULL);
	pthread_mutex_init(&device->watch_lock, NULL);
	pthread_mutex_init(&device->lock, NULL);
}

void device_destroy(struct vfc_device *device)
{
	pthread_mutex_destroy(&device->lock);
	pthread_mutex_destroy(&device->watch_lock);
	pthread_mutex_destroy(&device->release_lock);
}

bool device_is_released(const struct vfc_device *device)
{
	return __atomic_load_n(&device->released, __ATOMIC_ACQUIRE);
}

int device_present(struct vfc_device *device)
{
	if (!device_is_released(device))
		return 0;
	return vfc_fail(ENODEV, VFC_REASON_GONE, WHERE(.object = device->name),
			"the device was given back to the host (vfc_device_release): close it");
}

bool device_has_nic(struct vfc_device *device)
{
	bool nic;

	pthread_mutex_lock(&device->lock);
	nic = device->nic;
	pthread_mutex_unlock(&device->lock);
	return nic;
}

int device_check_pci(const struct vfc_device *device, const char *what)
{
	if (device->flags & VFC_DEVICE_PCI)
		return 0;
	return vfc_fail(EOPNOTSUPP, VFC_REASON_UNSUPPORTED, WHERE(.object = device->name),
			"the device is no PCI device: it has no %s", what);
}

bool device_irq_excludes(const struct vfc_device *device, uint32_t index)
{
	return device->flags & VFC_DEVICE_PCI && index <= VFIO_PCI_MSIX_IRQ_INDEX;
}

bool device_irqs_busy(const struct vfc_device *device)
{
	for (uint32_t i = 0; i < device->irq_count && device_irq_excludes(device, i); i++)
		if (device->irqs_open[i])
			return true;
	return false;
}

void device_hold(struct vfc_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->children++;
	pthread_mutex_unlock(&device->lock);
}

void device_put(struct vfc_device *device)
{
	pthread_mutex_lock(&device->lock);
	device->children--;
	pthread_mutex_unlock(&device->lock);
}

static struct device_watcher *find(struct vfc_device *device, const struct device_watcher_ops *ops)
{
	struct device_watcher *watcher = device->watchers;

	while (watcher && watcher->ops != ops)
		watcher = watcher->next;
	return watcher;
}

int device_watch(struct vfc_device *device, struct device_watcher *watcher)
{
	int rc = -EBUSY;

	pthread_mutex_lock(&device->watch_lock);
	if (!find(device, watcher->ops)) {
		watcher->next = device->watchers;
		device->watchers = watcher;
		rc = 0;
	}
	pthread_mutex_unlock(&device->watch_lock);
	return rc;
}

void device_unwatch(struct vfc_device *device, struct device_watcher *watcher)
{
	struct device_watcher **link = &device->watchers;

	pthread_mutex_lock(&device->watch_lock);
	while (*link && *link != watcher)
		link = &(*link)->next;
	if (*link)
		*link = watcher->next;
	pthread_mutex_unlock(&device->watch_lock);
}

const void *device_watched_by(struct vfc_device *device, const struct device_watcher_ops *ops)
{
	struct device_watcher *watcher;
	const void *owner;

	pthread_mutex_lock(&device->watch_lock);
	watcher = find(device, ops);
	owner = watcher ? watcher->owner : NULL;
	pthread_mutex_unlock(&device->watch_lock);
	return owner;
}

/* Find the first watcher that has a closing() or, without @closing, a leaving(). Hold its owner. */
static const struct device_watcher_ops *take(struct vfc_device *device, bool closing, void **owner)
{
	const struct device_watcher_ops *ops = NULL;
	struct device_watcher *watcher;

	pthread_mutex_lock(&device->watch_lock);
	for (watcher = device->watchers; watcher && !ops; watcher = watcher->next) {
		if (closing ? !watcher->ops->closing : !watcher->ops->leaving)
			continue;
		ops = watcher->ops;
		*owner = watcher->owner;
		ops->hold(*owner);
	}
	pthread_mutex_unlock(&device->watch_lock);
	return ops;
}

/* Each leaving() takes its watcher off the list or refuses, so the loop ends. */
int device_leaving(struct vfc_device *device)
{
	const struct device_watcher_ops *ops;
	void *owner;
	int rc = 0;

	while (rc == 0 && (ops = take(device, false, &owner))) {
		rc = ops->leaving(owner, device);
		ops->put(owner);
	}
	return rc;
}

void device_closing(struct vfc_device *device)
{
	const struct device_watcher_ops *ops;
	void *owner;

	while ((ops = take(device, true, &owner))) {
		ops->closing(owner, device);
		ops->put(owner);
	}
}

void device_was_reset(struct vfc_device *device)
{
	pthread_mutex_lock(&device->watch_lock);
	for (struct device_watcher *watcher = device->watchers; watcher; watcher = watcher->next)
		if (watcher->ops->was_reset)
			watcher->ops->was_reset(watcher);
	pthread_mutex_unlock(&device->watch_lock);
}

void device_suspect(struct vfc_device *device)
{
	pthread_mutex_lock(&device->watch_lock);
	for (struct device_watcher *watcher = device->watchers; watcher; watcher = watcher->next)
		if (watcher->ops->suspect)
			watcher->ops->suspect(watcher);
	pthread_mutex_unlock(&device->watch_lock);
}

uint32_t device_children(struct vfc_device *device)
{
	uint32_t own = 0;

	pthread_mutex_lock(&device->watch_lock);
	for (struct device_watcher *watcher = device->watchers; watcher; watcher = watcher->next)
		own += watcher->children;
	pthread_mutex_lock(&device->lock);
	own = device->children - own;
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->watch_lock);
	return own;
}
