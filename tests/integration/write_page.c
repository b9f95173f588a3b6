/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what the page is tested with to standard output: the page itself, its content security
 * policy, or the JSON of a profile of known content.
 *
 * usage: write_page page|policy|plain|later|hostile|wide|processes */
#include <stdbool.h>

#include "profile_made.h"
#include "report/report_json.h"
#include "serve/serve_page.h"
#include "symbol/symbol.h"

#define WIDE 100 /* frames beside each other, and on top of each other */

static uint32_t place(struct profile *profile, uint32_t mapping, const char *name, uint32_t line)
{
	struct profile_function from = {.name = string(profile, name),
					.system_name = string(profile, name),
					.file = string(profile, "/src/server.cc")};
	struct profile_line at = {.line = line};
	uint32_t id;

	check(profile_function_intern(profile, &from, &at.function));
	check(profile_location_add(profile, mapping, 0x1000 + line, &at, 1, &id));
	return id;
}

/* Adds 10 ms n times to the stack of some names, root first, NULL at the end. */
static void add(struct profile *profile, const char *thread, const char *pid,
		const char *const *names, int64_t n)
{
	struct profile_label labels[] = {
		{.key = string(profile, "thread"), .text = string(profile, thread)},
		{.key = string(profile, "tid"), .text = string(profile, strrchr(thread, '-') + 1)},
		{.key = string(profile, "process"), .text = string(profile, "server")},
		{.key = string(profile, "pid"), .text = string(profile, pid)},
	};
	uint32_t stack = 0, set;

	for (uint32_t i = 0; names[i]; i++) {
		/* What libc does is in a file of its own. */
		uint32_t mapping = names[i][0] == '_' && names[i][1] == '_' ? 2 : 1;

		check(profile_stack_intern(profile, stack,
					   place(profile, mapping, names[i], 10 * i + 12), &stack));
	}
	check(profile_labels_intern(profile, labels, 4, &set));
	check(profile_sample_add(profile, stack, set, (int64_t[]){n, n * 10000000}));
}

#define ADD(profile, thread, n, ...)                                                               \
	add(profile, thread, "4711", (const char *const[]){__VA_ARGS__, NULL}, n)

/* A server: in the later profile compress() takes more, parse() less, and log() is gone. */
static void fill_server(struct profile *profile, bool later)
{
	ADD(profile, "worker-21", later ? 260 : 120, "main", "serve(int)", "handle(Request&)",
	    "compress(char const*, unsigned long)", "__memcpy_avx_unaligned_erms");
	ADD(profile, "worker-21", 140, "main", "serve(int)", "handle(Request&)",
	    "compress(char const*, unsigned long)");
	ADD(profile, "worker-21", later ? 40 : 160, "main", "serve(int)", "handle(Request&)",
	    "_ZN4http5parseERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE");
	ADD(profile, "worker-22", 90, "main", "serve(int)", "handle(Request&)", "render(Page&)",
	    "std::string::append(char const*)", "__malloc");
	ADD(profile, "worker-22", 50, "main", "serve(int)", "handle(Request&)", "render(Page&)");
	ADD(profile, "worker-22", 60, "main", "serve(int)", "wait()", "__epoll_wait",
	    "[kernel] epoll_wait");
	if (!later)
		ADD(profile, "logger-23", 70, "main", "log_loop()", "log(char const*)", "__write",
		    "[kernel] write");
	ADD(profile, "logger-23", 30, "main", "log_loop()", "log_loop()", "rotate()");
	check(profile_comment_add(profile, "dropped: 3 snapshots"));
}

static void fill_hostile(struct profile *profile)
{
	static const char markup[] = "</script><script>window.hacked=1</script>";
	static const char image[] = "<img src=x onerror=\"window.hacked=2\">";
	static const char attribute[] = "\"' onfocus=window.hacked=3 autofocus x=\"";
	static const char object_key[] = "__proto__";

	ADD(profile, "<b>bold</b>-31", 50, markup, image, attribute);
	ADD(profile, "<b>bold</b>-31", 20, markup, object_key, "constructor");
	ADD(profile, "<img src=x onerror=window.hacked=4>-32", 30, markup,
	    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xae gpj.exe", "line\nfeed\ttab \x01");
	check(profile_comment_add(profile, image));
}

static void fill_wide(struct profile *profile)
{
	char texts[WIDE][32];
	const char *names[WIDE + 1] = {};

	for (int column = 0; column < WIDE; column++) {
		for (int row = 0; row < WIDE; row++) {
			snprintf(texts[row], sizeof(texts[row]), "f_%d_%d", column, row);
			names[row] = texts[row];
		}
		add(profile, "worker-21", "4711", names, 10);
	}
}

static void fill_processes(struct profile *profile)
{
	ADD(profile, "worker-21", 30, "main", "parent_work");
	add(profile, "worker-51", "4712", (const char *const[]){"main", "child_work", NULL}, 10);
}

static void write_profile(const char *kind)
{
	struct profile *profile;
	uint32_t id;
	size_t size;
	char *text;

	check(profile_new(&made_spec, &profile));
	check(profile_mapping_add(
		profile, &(struct profile_mapping){.file = string(profile, "/opt/bin/server")},
		&id));
	check(profile_mapping_add(
		profile, &(struct profile_mapping){.file = string(profile, "/usr/lib/libc.so.6")},
		&id));
	if (strcmp(kind, "hostile") == 0)
		fill_hostile(profile);
	else if (strcmp(kind, "wide") == 0)
		fill_wide(profile);
	else if (strcmp(kind, "processes") == 0)
		fill_processes(profile);
	else
		fill_server(profile, strcmp(kind, "later") == 0);
	profile_set_time(profile, 1700000000000000000, 5000000000);
	check(report_json(profile, 1, symbol_demangle, &text, &size));
	fwrite(text, 1, size, stdout);
	free(text);
	profile_free(profile);
}

int main(int argc, char **argv)
{
	const char *kind = argc == 2 ? argv[1] : "";

	if (strcmp(kind, "page") == 0)
		fwrite(serve_page, 1, serve_page_size, stdout);
	else if (strcmp(kind, "policy") == 0)
		puts(serve_page_policy);
	else
		write_profile(kind);
	return 0;
}
