/* SPDX-License-Identifier: MIT */
/* A tree of files in place of sysfs, which a test makes and removes. */
#ifndef VFC_TEST_TREE_H
#define VFC_TEST_TREE_H

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define TREE_PATH 256

static char root[] = "/tmp/vfiocore-tree-XXXXXX";

static inline void path_of(char path[TREE_PATH], const char *file)
{
	snprintf(path, TREE_PATH, "%s/%s", root, file);
}

/* With those that lead to it. */
static inline void folder(const char *name)
{
	char path[TREE_PATH];

	path_of(path, name);
	for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	CHECK(mkdir(path, 0755) == 0 || access(path, F_OK) == 0);
}

static inline void file(const char *name, const char *text)
{
	char path[TREE_PATH];
	FILE *f;

	path_of(path, name);
	f = fopen(path, "w");
	CHECK(f);
	CHECK(fputs(text, f) >= 0);
	CHECK_EQ(fclose(f), 0);
}

/* In place of what is there; NULL: nothing. */
static inline void link_to(const char *name, const char *target)
{
	char path[TREE_PATH];

	path_of(path, name);
	unlink(path);
	if (target)
		CHECK_EQ(symlink(target, path), 0);
}

/* A file begins with @text, or is empty: an attribute is written over what a file held before. */
static inline void holds(const char *name, const char *text)
{
	char path[TREE_PATH], now[64] = "";
	FILE *f;

	path_of(path, name);
	f = fopen(path, "r");
	CHECK(f);
	now[fread(now, 1, sizeof(now) - 1, f)] = '\0';
	CHECK_EQ(fclose(f), 0);
	CHECK(*text ? !strncmp(now, text, strlen(text)) : !*now);
}

static inline bool is_there(const char *name)
{
	char path[TREE_PATH];

	path_of(path, name);
	return access(path, F_OK) == 0;
}

/* sysfs, /proc and what the library remembers are all in there. */
static inline void tree_begin(void)
{
	char path[TREE_PATH];

	CHECK(mkdtemp(root));
	CHECK_EQ(setenv("VFIOCORE_SYSFS", root, 1), 0);
	path_of(path, "state");
	CHECK_EQ(setenv("VFIOCORE_STATE", path, 1), 0);
	path_of(path, "proc");
	CHECK_EQ(setenv("VFIOCORE_PROC", path, 1), 0);
}

static inline void tree_end(void)
{
	char command[TREE_PATH];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK_EQ(system(command), 0);
}

#endif
