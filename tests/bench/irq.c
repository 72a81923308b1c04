/* SPDX-License-Identifier: MIT */
/*
 * From the raise of an eventfd to the thread that waits for it, in us: through vfc_irq_wait(), and
 * through a bare blocking read(). One JSON line for the figure that is the argument; all without one:
 *   irq.thread           without a deadline
 *   irq.thread_any       vfc_irq_wait_any(), for one of five vectors
 *   irq.thread_deadline  with a deadline, which never comes
 * Both take turns, raise by raise, each with a thread of its own that sleeps when it is raised. The
 * first quartile is what is compared: the slower ones tell of what else the machine does.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <vfiocore.h>

#include "irq/irq.h" /* the eventfd, which vfc_irq_fd() would make non-blocking */

#define SAMPLES 10000
#define WARM_UP 500
#define VECTOR 3

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "bench-irq: %s\n", what);
		exit(1);
	}
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct sleeper {
	void (*wait)(struct sleeper *);
	struct vfc_irq *irq;
	int fd;
	int64_t woken; /* atomic; 0: not yet */
	bool stop;     /* atomic */
	pthread_t thread;
};

static void bare(struct sleeper *s)
{
	eventfd_t count;

	check(eventfd_read(s->fd, &count) == 0, "read");
}

static void one(struct sleeper *s)
{
	check(vfc_irq_wait(s->irq, VECTOR, -1, NULL) == 0, "vfc_irq_wait");
}

static void deadline(struct sleeper *s)
{
	check(vfc_irq_wait(s->irq, VECTOR, INT64_C(60000000000), NULL) == 0, "vfc_irq_wait");
}

static void any(struct sleeper *s)
{
	uint32_t vector;

	check(vfc_irq_wait_any(s->irq, -1, &vector, NULL) == 0, "vfc_irq_wait_any");
}

static void *sleeper(void *argument)
{
	struct sleeper *s = argument;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		s->wait(s);
		__atomic_store_n(&s->woken, now(), __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The raiser spins on the first CPU that is ours, those who sleep are woken on the last. */
static cpu_set_t mine;

static void pin(pthread_t thread, bool last)
{
	cpu_set_t chosen;
	int cpu = last ? CPU_SETSIZE - 1 : 0;

	while (!CPU_ISSET(cpu, &mine))
		cpu += last ? -1 : 1;
	CPU_ZERO(&chosen);
	CPU_SET(cpu, &chosen);
	check(pthread_setaffinity_np(thread, sizeof(chosen), &chosen) == 0, "pthread_setaffinity_np");
}

static double wake(struct sleeper *s)
{
	struct timespec pause = {.tv_nsec = 30000};
	int64_t start, woken;

	nanosleep(&pause, NULL); /* it sleeps by then */
	__atomic_store_n(&s->woken, 0, __ATOMIC_RELEASE);
	start = now();
	check(eventfd_write(s->fd, 1) == 0, "write");
	while (!(woken = __atomic_load_n(&s->woken, __ATOMIC_ACQUIRE)))
		;
	return (double)(woken - start) / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(const char *name, void (*wait)(struct sleeper *), struct vfc_irq *irq)
{
	static double samples[2][SAMPLES];
	struct sleeper s[2] = {
		{.wait = wait, .irq = irq, .fd = irq->vectors[VECTOR].fd},
		{.wait = bare, .fd = eventfd(0, EFD_CLOEXEC)},
	};

	for (int i = 0; i < 2; i++) {
		check(pthread_create(&s[i].thread, NULL, sleeper, &s[i]) == 0, "pthread_create");
		pin(s[i].thread, true);
	}
	for (int n = -WARM_UP; n < SAMPLES; n++)
		for (int turn = 0; turn < 2; turn++) { /* who is first takes turns, too */
			int i = (n ^ turn) & 1;
			double took = wake(&s[i]);

			if (n >= 0)
				samples[i][n] = took;
		}
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&s[i].stop, true, __ATOMIC_RELEASE);
		wake(&s[i]);
		pthread_join(s[i].thread, NULL);
		qsort(samples[i], SAMPLES, sizeof(**samples), compare);
	}
	close(s[1].fd);
	printf("{\"name\": \"%s\", \"value\": %.3f, \"baseline_value\": %.3f}\n", name,
	       samples[0][SAMPLES / 4], samples[1][SAMPLES / 4]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*wait)(struct sleeper *);
	} figures[] = {{"irq.thread", one}, {"irq.thread_any", any}, {"irq.thread_deadline", deadline}};
	struct vfc_device *device;
	struct vfc_irq *irq;

	check(sched_getaffinity(0, sizeof(mine), &mine) == 0, "sched_getaffinity");
	check(vfc_device_open("fake:e1000e", NULL, &device) == 0, "vfc_device_open");
	check(vfc_irq_open(device, VFC_IRQ_MSIX, 5, &irq) == 0, "vfc_irq_open");
	pin(pthread_self(), false);
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		if (argc < 2 || !strcmp(figures[i].name, argv[1]))
			run(figures[i].name, figures[i].wait, irq);
	check(vfc_irq_close(irq) == 0 && vfc_device_close(device) == 0, "close");
	return 0;
}
