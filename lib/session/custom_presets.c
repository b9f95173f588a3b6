/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custom profiles that are known by name. Names of functions: glibc 2.36 and musl 1.2.3, with those
 * that _FORTIFY_SOURCE makes of them.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/custom.h"

#define FD(name) "add=" name ":ret:int,"

static const struct {
	const char *name, *text;
} presets[] = {
	{"fd",
	 "fd: " FD("open") FD("open64") FD("openat") FD("openat64") FD("creat") FD("creat64") FD(
		 "__open_2") FD("__open64_2") FD("__openat_2") FD("__openat64_2") FD("socket")
		 FD("accept") FD("accept4") FD("dup") FD("dup2") FD("dup3") FD("epoll_create") FD(
			 "epoll_create1") FD("eventfd") FD("inotify_init") FD("inotify_init1")
			 FD("timerfd_create") FD("memfd_create") FD("pidfd_open") FD("mkstemp")
				 FD("mkstemp64") FD("mkostemp") FD("mkostemp64") FD("shm_open") FD(
					 "mq_open") FD("posix_openpt") "add=fcntl:ret:int:dup, "
								       "add=fcntl64:ret:int:dup,"
								       "add=pipe:*arg0:pair, "
								       "add=pipe2:*arg0:pair, "
								       "add=socketpair:*arg3:pair,"
								       "remove=dup2:arg1:int, "
								       "remove=dup3:arg1:int, "
								       "remove=close:arg0:int"},
	{"mmap", "mmap: add=mmap, add=mmap64, size=arg1, add=mremap, size=arg2, remove=mremap:arg0,"
		 "remove=munmap:arg0"},
	/* Of threads that are neither joined nor detached something stays when they end. */
	{"thread", "thread: add=pthread_create:*arg0, remove=pthread_join:arg0:ok,"
		   "remove=pthread_detach:arg0:ok, remove=pthread_tryjoin_np:arg0:ok,"
		   "remove=pthread_timedjoin_np:arg0:ok, remove=pthread_clockjoin_np:arg0:ok,"
		   "remove=thrd_join:arg0:ok, remove=thrd_detach:arg0:ok, add=thrd_create:*arg0"},
	{"dlopen", "dlopen: add=dlopen:ret:many, remove=dlclose:arg0:ok"},
};

const char *custom_preset_name(unsigned i)
{
	return i < ARRAY_SIZE(presets) ? presets[i].name : NULL;
}

int custom_preset(const char *name, struct custom **ret_custom)
{
	struct custom_error ignored;
	struct custom *custom;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(presets); i++) {
		if (strcmp(presets[i].name, name) != 0)
			continue;
		r = custom_parse(presets[i].text, &custom, &ignored);
		if (r < 0)
			return err_trace(r);
		custom->is_fd = strcmp(name, "fd") == 0;
		for (size_t k = 0; k < custom->calls.n; k++)
			custom->calls.items[k].required = false;
		*ret_custom = custom;
		return 0;
	}
	return -ENOENT;
}
