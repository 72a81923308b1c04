/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "event/event.h"
#include "kernel/sys.h"

int event_new(struct vfc_events *events, struct vfc_event *event, uint32_t kind)
{
	uint32_t size = event->size;

	*event = (struct vfc_event){.size = size,
				    .kind = kind,
				    .sequence = ++events->sequence,
				    .time = (uint64_t)sys_boot_time()};
	return 1;
}

void events_hold(struct vfc_events *events)
{
	__atomic_add_fetch(&events->holders, 1, __ATOMIC_RELAXED);
}

void events_put(struct vfc_events *events)
{
	if (__atomic_sub_fetch(&events->holders, 1, __ATOMIC_ACQ_REL))
		return;
	for (int i = 0; i < EVENT_SOURCES; i++)
		sys_close(events->fds[i]);
	sys_close(events->epoll);
	pthread_mutex_destroy(&events->lock);
	free(events);
}
