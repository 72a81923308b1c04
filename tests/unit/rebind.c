/* SPDX-License-Identifier: MIT */
/*
 * Binding and giving back on a sysfs made by the test, behind which stands a kernel: what is written
 * to its attributes takes effect, and any call of the library can fail. Whatever fails, the device can
 * be given back afterwards to the driver that it had.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfiocore.h>

#include "sweep.h"
#include "test.h"

#define NAME "0000:01:00.0"
#define DEVICE "bus/pci/devices/" NAME
#define RESET_METHODS "flr bus"

static char root[] = "/tmp/vfiocore-rebind-XXXXXX";
static const char *usual = "e1000e"; /* the driver that takes the device when nothing else is wanted */

static void run(const char *command)
{
	char line[1000];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	CHECK_EQ(system(line), 0);
}

static void path_of(char path[256], const char *file)
{
	snprintf(path, 256, "%s/%s", root, file);
}

static void content(const char *file, char text[64])
{
	char path[256];
	FILE *f;

	path_of(path, file);
	f = fopen(path, "r");
	CHECK(f);
	memset(text, 0, 64);
	fread(text, 1, 63, f);
	fclose(f);
	text[strcspn(text, "\n")] = '\0';
}

static void driver(char name[64])
{
	char path[256], target[256] = "";
	ssize_t n;

	path_of(path, DEVICE "/driver");
	n = readlink(path, target, sizeof(target) - 1);
	name[0] = '\0';
	if (n > 0)
		snprintf(name, 64, "%.63s", strrchr(target, '/') + 1);
}

static bool bound_to(const char *name)
{
	char now[64];

	driver(now);
	return !strcmp(now, name);
}

static bool remembered(void)
{
	char path[256];

	path_of(path, "state/" NAME);
	return access(path, F_OK) == 0;
}

/* -- the kernel -- */

static void on_probe(void)
{
	char override[64], path[256], target[100];

	content(DEVICE "/driver_override", override);
	if (!override[0] || !strcmp(override, "(null)"))
		snprintf(override, sizeof(override), "%s", usual);
	snprintf(target, sizeof(target), "../../drivers/%s", override);
	path_of(path, DEVICE "/driver");
	if (override[0] && bound_to(""))
		CHECK_EQ(symlink(target, path), 0);
}

static void on_unbind(void)
{
	char path[256];

	path_of(path, DEVICE "/driver");
	CHECK_EQ(unlink(path), 0);
}

/* What the library writes through a descriptor: the file tells which attribute it is. */
ssize_t write(int fd, const void *data, size_t length)
{
	char link[32], path[256] = "";
	ssize_t n = syscall(SYS_write, fd, data, length);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (n < 0 || readlink(link, path, sizeof(path) - 1) < 0)
		return n;
	if (strstr(path, "/drivers_probe"))
		on_probe();
	else if (strstr(path, "/unbind"))
		on_unbind();
	return n;
}

static void make_tree(void)
{
	CHECK(mkdtemp(root));
	run("mkdir -p " DEVICE " bus/pci/drivers/e1000e bus/pci/drivers/vfio-pci kernel/iommu_groups/7 && "
	    "echo 0x8086 >" DEVICE "/vendor && echo '(null)' >" DEVICE "/driver_override && "
	    "echo '" RESET_METHODS "' >" DEVICE "/reset_method && "
	    ": >bus/pci/drivers/e1000e/unbind && : >bus/pci/drivers/vfio-pci/unbind && "
	    ": >bus/pci/drivers_probe && ln -s ../../../../kernel/iommu_groups/7 " DEVICE "/iommu_group && "
	    "ln -s ../../drivers/e1000e " DEVICE "/driver");
}

static void there_and_back(void)
{
	char now[64];

	CHECK_EQ(vfc_pci_bind(NAME, NULL), 0);
	CHECK(bound_to("vfio-pci"));
	content("state/" NAME, now);
	CHECK(!strcmp(now, "e1000e"));
	CHECK_EQ(vfc_pci_bind(NAME, NULL), 0); /* it is already */
	CHECK_EQ(vfc_pci_unbind(NAME), 0);
	CHECK(bound_to("e1000e"));
	CHECK(!remembered());
	content(DEVICE "/driver_override", now);
	CHECK(!now[0]);
}

/* A device that had no driver gets none. */
static void from_nothing(void)
{
	run("rm " DEVICE "/driver");
	CHECK_EQ(vfc_pci_bind(NAME, NULL), 0);
	CHECK(bound_to("vfio-pci"));
	CHECK_EQ(vfc_pci_unbind(NAME), 0);
	CHECK(bound_to(""));
	CHECK(!remembered());
	run("ln -s ../../drivers/e1000e " DEVICE "/driver");
}

/* Its driver is unloaded meanwhile: it is said, and what was remembered is not forgotten. */
static void former_is_gone(void)
{
	CHECK_EQ(vfc_pci_bind(NAME, NULL), 0);
	usual = "";
	CHECK_EQ(vfc_pci_unbind(NAME), -ENODEV);
	CHECK_EQ(vfc_error_last()->reason, VFC_REASON_NO_DRIVER);
	CHECK(strstr(vfc_error_last()->hint, "e1000e did not take the device back"));
	CHECK(remembered());
	usual = "e1000e";
	CHECK_EQ(vfc_pci_unbind(NAME), 0);
	CHECK(bound_to("e1000e"));
	CHECK(!remembered());
}

/* The sweep: after each failure the device is given back with what is remembered. */
static int life(void)
{
	char methods[64];
	int rc = 0;

	note(&rc, vfc_pci_bind(NAME, NULL));
	note(&rc, vfc_pci_unbind(NAME));
	note(&rc, vfc_pci_reset_methods(NAME, methods, sizeof(methods)));
	if (rc == 0)
		CHECK(!strcmp(methods, RESET_METHODS));
	if (rc < 0 || !bound_to("e1000e")) {
		unsigned made = sweep_pause();

		if (!bound_to("e1000e"))
			CHECK_EQ(vfc_pci_unbind(NAME), 0);
		CHECK(bound_to("e1000e"));
		sweep_resume(made);
	}
	run("rm -f state/* && echo '(null)' >" DEVICE "/driver_override");
	return rc;
}

int main(void)
{
	char methods[64], state[64];

	make_tree();
	snprintf(state, sizeof(state), "%s/state", root);
	CHECK_EQ(setenv("VFIOCORE_STATE", state, 1), 0);
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
	CHECK_EQ(vfc_pci_reset_methods(NAME, methods, sizeof(methods)), strlen(RESET_METHODS));
	CHECK(!strcmp(methods, RESET_METHODS));
	CHECK_EQ(vfc_pci_reset_methods(NAME, methods, 4), strlen(RESET_METHODS));
	CHECK(!strcmp(methods, "flr"));
	there_and_back();
	from_nothing();
	former_is_gone();
	sweep("bind and unbind", life);
	run("rm -r $PWD");
	return 0;
}
