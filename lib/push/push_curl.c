/* SPDX-License-Identifier: Apache-2.0 */
#include "push/push_curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "push/push.h"

/* Its ABI has been this one since 7.16 (2006); Debian's variant with GnuTLS has a name of its own.
 */
static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

#define FUNCTION(name)                                                                             \
	{                                                                                          \
		"curl_" #name, offsetof(struct push_curl, name)                                    \
	}

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
	FUNCTION(easy_cleanup),   FUNCTION(easy_getinfo),  FUNCTION(easy_init),
	FUNCTION(easy_perform),   FUNCTION(easy_setopt),   FUNCTION(easy_strerror),
	FUNCTION(global_cleanup), FUNCTION(global_init),   FUNCTION(mime_addpart),
	FUNCTION(mime_data),      FUNCTION(mime_filename), FUNCTION(mime_free),
	FUNCTION(mime_init),      FUNCTION(mime_name),     FUNCTION(slist_append),
	FUNCTION(slist_free_all),
};

static bool find_functions(struct push_curl *curl)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(curl->library, functions[i].name);

		if (!function)
			return false;
		/* POSIX has them of one size (dlsym(3)). */
		memcpy((char *)curl + functions[i].offset, &function, sizeof(function));
	}
	return true;
}

int push_curl_init(struct push_curl *curl)
{
	*curl = (struct push_curl){};
	for (size_t i = 0; i < ARRAY_SIZE(names) && !curl->library; i++)
		curl->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!curl->library || !find_functions(curl))
		return err_trace(-ELIBACC);
	if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_trace(-ENOMEM);
	curl->is_set_up = true;
	return 0;
}

/* The library stays: OpenSSL's handlers for the end of threads and of the process are in it. */
void push_curl_deinit(struct push_curl *curl)
{
	if (curl->is_set_up)
		curl->global_cleanup();
	curl->is_set_up = false;
}

bool push_is_available(void)
{
	struct push_curl curl;
	int r = push_curl_init(&curl);

	push_curl_deinit(&curl);
	return r == 0;
}
