/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded by who needs it: it brings some thirty libraries, which would make every command
 * start twice as slowly, and a machine that pushes nothing need not have it.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/** Its functions, by their own names without "curl_". */
struct push_curl {
	void *library;
	bool is_set_up;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_getinfo) *easy_getinfo;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_perform) *easy_perform;
	__typeof__(curl_easy_setopt) *easy_setopt;
	__typeof__(curl_easy_strerror) *easy_strerror;
	__typeof__(curl_global_cleanup) *global_cleanup;
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_mime_addpart) *mime_addpart;
	__typeof__(curl_mime_data) *mime_data;
	__typeof__(curl_mime_filename) *mime_filename;
	__typeof__(curl_mime_free) *mime_free;
	__typeof__(curl_mime_init) *mime_init;
	__typeof__(curl_mime_name) *mime_name;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
};

/** Loads it. To be released in any case. Returns 0; -ELIBACC when it is not there or too old;
 * -ENOMEM. */
int push_curl_init(struct push_curl *curl);
void push_curl_deinit(struct push_curl *curl);
