/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mapped_elf.h"
#include "symbol/symbol.h"

/* A victim mapped into this process, and what looks at it. */
struct subject {
	struct process *process;
	struct module_map *map;
	struct symbolizer *symbolizer;
	struct mapped_elf elf;
	struct module *module;
	char path[4096];
};

static void close_subject(struct subject *s)
{
	symbolizer_free(s->symbolizer);
	module_map_free(s->map);
	process_close(s->process);
	mapped_elf_close(&s->elf);
}

static bool open_path(struct subject *s, const char *path, bool inlines)
{
	const struct module_mapping *m;

	memset(s, 0, sizeof(*s));
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->elf = mapped_elf_open(path);
	if (!s->elf.area)
		return false;
	assert_int_equal(process_open(getpid(), &s->process), 0);
	assert_int_equal(module_map_new(s->process, &s->map), 0);
	assert_true(module_map_refresh(s->map) > 0);
	assert_int_equal(symbolizer_new(inlines, &s->symbolizer), 0);
	m = module_map_find(s->map, s->elf.text);
	assert_non_null(m);
	s->module = m->module;
	return true;
}

static bool open_victim(struct subject *s, const char *name, bool inlines)
{
	const char *folder = getenv("CPROF_VICTIMS");
	char path[4096];

	if (!folder) {
		print_message("CPROF_VICTIMS does not name the folder of the victims\n");
		return false;
	}
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (open_path(s, path, inlines))
		return true;
	print_message("%s was not built: its compiler is missing\n", name);
	return false;
}

/* The end of the executable segment as mapped. */
static uint64_t text_end(const struct subject *s)
{
	return module_map_find(s->map, s->elf.text)->end;
}

/* The first address at which the innermost line is this one. */
static bool find_line(struct subject *s, const char *file, uint32_t line,
		      struct symbol_lines *lines)
{
	for (uint64_t at = s->elf.text; at < text_end(s); at++) {
		assert_int_equal(symbolizer_lookup(s->symbolizer, s->module, at, lines), 0);
		if (lines->n_lines && lines->lines[0].line == line && lines->lines[0].file &&
		    strcmp(strrchr(lines->lines[0].file, '/') + 1, file) == 0)
			return true;
	}
	return false;
}

/* Of shapes.cc, which the victims were made from. */
static uint32_t line_of(const char *text)
{
	char line[512];
	uint32_t n = 0;
	FILE *f = fopen(getenv("CPROF_SHAPES"), "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		n++;
		if (strstr(line, text)) {
			fclose(f);
			return n;
		}
	}
	fclose(f);
	fail_msg("shapes.cc has no %s", text);
	return 0;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static const char *const optimized[] = {
	"shapes-gcc-dwarf4-o2",   "shapes-gcc-dwarf5-o2", "shapes-gcc-compressed",
	"shapes-gcc-split",       "shapes-gcc-types",     "shapes-clang-dwarf4-o2",
	"shapes-clang-dwarf5-o2",
};

/* add() inlined into innermost() into middle() into outer(), each with file, line and start. */
static void unfolds_inlined_calls(void **state)
{
	static const char *const wanted[] = {"add", "innermost", "middle", "shapes::outer"};
	unsigned n_checked = 0;

	for (size_t i = 0; i < sizeof(optimized) / sizeof(optimized[0]); i++) {
		struct symbol_lines lines;
		struct subject s;

		if (!open_victim(&s, optimized[i], true))
			continue;
		n_checked++;
		if (!find_line(&s, "shapes.cc", line_of("sink = n;"), &lines))
			fail_msg("%s: no code for the line", optimized[i]);
		assert_true(lines.from_dwarf);
		assert_int_equal(lines.n_lines, 4);
		for (int k = 0; k < 4; k++) {
			char *name = symbol_demangle(lines.lines[k].system_name);

			if (!strstr(name, wanted[k]))
				fail_msg("%s: %s is not %s", optimized[i], name, wanted[k]);
			assert_true(same_file(lines.lines[k].file, getenv("CPROF_SHAPES")));
			free(name);
		}
		assert_int_equal(lines.lines[0].start_line, line_of("void add(unsigned x)"));
		assert_int_equal(lines.lines[1].line, line_of("c.add(i);"));
		assert_int_equal(lines.lines[2].line, line_of("return innermost(x) + innermost("));
		assert_int_equal(lines.lines[3].line, line_of("return middle(x) ^ middle("));
		assert_int_equal(lines.lines[3].start_line,
				 line_of("__attribute__((noinline)) unsigned outer("));
		assert_string_equal(lines.lines[3].system_name, "_ZN6shapes5outerEj");
		close_subject(&s);
	}
	if (!n_checked)
		skip();
}

static void without_inlines_the_outermost_call_counts(void **state)
{
	struct symbol_lines lines;
	struct subject s;
	bool found = false;

	if (!open_victim(&s, "shapes-gcc-dwarf5-o2", false))
		skip();
	for (uint64_t at = s.elf.text; at < text_end(&s); at++) {
		assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
		assert_true(lines.n_lines <= 1);
		if (!lines.n_lines || strcmp(lines.lines[0].system_name, "_ZN6shapes5outerEj") != 0)
			continue;
		/* Whatever is inlined: the line is in outer() itself. */
		assert_in_range(lines.lines[0].line, lines.lines[0].start_line,
				lines.lines[0].start_line + 3);
		found = true;
	}
	assert_true(found);
	close_subject(&s);
}

static void finds_functions_within_functions(void **state)
{
	static const char *const victims[] = {"shapes-gcc-dwarf5-o2", "shapes-clang-dwarf5-o2",
					      "shapes-gcc-split", "shapes-gcc-dwarf5-o0"};
	unsigned n_checked = 0;

	for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++) {
		bool twist = false, lambda = false;
		struct symbol_lines lines;
		struct subject s;

		if (!open_victim(&s, victims[i], true))
			continue;
		n_checked++;
		for (uint64_t at = s.elf.text; at < text_end(&s); at++) {
			assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
			if (!lines.n_lines)
				continue;
			if (lines.lines[0].start_line == line_of("unsigned twist(unsigned y)"))
				twist |= strstr(lines.lines[lines.n_lines - 1].system_name,
						"twist") != NULL;
			/* gcc gives no line for where a lambda begins. */
			if (lines.lines[0].line == line_of("return l.twist(y) + x;"))
				lambda |= strstr(lines.lines[lines.n_lines - 1].system_name,
						 "clEj") != NULL;
		}
		if (!twist || !lambda)
			fail_msg("%s: twist %d lambda %d", victims[i], twist, lambda);
		close_subject(&s);
	}
	if (!n_checked)
		skip();
}

/* All over the text: the row that libdw finds, by a table that it makes itself. */
static void rows_are_those_of_libdw(void **state)
{
	static const char *const victims[] = {"shapes-gcc-dwarf4-o2",   "shapes-gcc-dwarf5-o0",
					      "shapes-gcc-dwarf5-o2",   "shapes-gcc-compressed",
					      "shapes-clang-dwarf4-o2", "shapes-clang-dwarf5-o2",
					      "shapes-rust-o2",         "chain-gcc-static"};
	unsigned n_compared = 0;

	for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++) {
		struct symbol_lines lines;
		struct subject s;
		uint64_t bias;
		Dwarf *dwarf;

		if (!open_victim(&s, victims[i], true))
			continue;
		dwarf = module_dwarf(s.module, &bias);
		assert_non_null(dwarf);
		for (uint64_t at = s.elf.text; at < text_end(&s); at += 3) {
			Dwarf_Die unit = {};
			Dwarf_CU *cu = NULL;
			Dwarf_Line *row = NULL;
			int line = 0, column = 0;

			assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
			if (!lines.from_dwarf)
				continue;
			while (!row &&
			       dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &unit, NULL) == 0) {
				if (dwarf_haspc(&unit, at - bias) == 1)
					row = dwarf_getsrc_die(&unit, at - bias);
			}
			if (row) {
				assert_int_equal(dwarf_lineno(row, &line), 0);
				assert_int_equal(dwarf_linecol(row, &column), 0);
			}
			if ((uint32_t)line != lines.lines[0].line ||
			    (uint32_t)column != lines.lines[0].column)
				fail_msg("%s: %#lx is %d:%d, not %u:%u", victims[i],
					 (long)(at - bias), line, column, lines.lines[0].line,
					 lines.lines[0].column);
			n_compared += row != NULL;
		}
		close_subject(&s);
	}
	if (n_compared == 0)
		skip();
	assert_true(n_compared > 1000);
}

/* The memory of a module that is gone may be that of the next one. */
static void forgets_a_module(void **state)
{
	struct symbol_lines lines;
	struct module *clone = NULL;
	struct subject s;

	if (!open_victim(&s, "shapes-gcc-dwarf5-o2", true))
		skip();
	for (int round = 0; round < 3; round++) {
		assert_int_equal(module_clone(s.module, s.process, &clone), 0);
		assert_int_equal(symbolizer_lookup(s.symbolizer, clone, s.elf.text, &lines), 0);
		symbolizer_forget(s.symbolizer, clone);
		symbolizer_forget(s.symbolizer, clone);
		module_free(clone);
	}
	symbolizer_forget(s.symbolizer, s.module);
	assert_true(find_line(&s, "shapes.cc", line_of("sink = n;"), &lines));
	close_subject(&s);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "??";
}

/* Reads "function\nfile:line\n" pairs up to the next "0x…" line, and compares. */
static void compare_answer(struct subject *s, uint64_t svma, FILE *answers, char *pending,
			   unsigned *n_compared)
{
	struct symbol_lines lines;
	char place[8192], name[8192];
	uint32_t k = 0;

	assert_int_equal(symbolizer_lookup(s->symbolizer, s->module, svma + s->elf.bias, &lines),
			 0);
	/* pending holds the "0x…" line of this address. */
	assert_int_equal(strtoull(pending, NULL, 16), svma);
	while (fgets(pending, 8192, answers) && strncmp(pending, "0x", 2) != 0) {
		char *colon;

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(pending, "\n"), pending);
		assert_non_null(fgets(place, sizeof(place), answers));
		colon = strrchr(place, ':');
		assert_non_null(colon);
		*colon = '\0';
		if (lines.from_dwarf) {
			bool last = k + 1 == lines.n_lines;

			if (k >= lines.n_lines ||
			    strtoul(colon + 1, NULL, 10) != lines.lines[k].line ||
			    strcmp(base_name(place), base_name(lines.lines[k].file)) != 0 ||
			    /* For the real function the symbol table comes first there. */
			    (!last && strcmp(name, lines.lines[k].system_name) != 0))
				fail_msg("%s: %#lx frame %u: %s %s:%s", s->path, (long)svma, k,
					 name, place, colon + 1);
		}
		k++;
	}
	if (lines.from_dwarf) {
		assert_int_equal(k, lines.n_lines);
		(*n_compared)++;
	}
}

/* llvm-symbolizer is the judge: binutils 2.40 misnames frames of gcc -O2 and misses levels of
 * clang's DWARF 5. */
static void agrees_with_llvm_symbolizer(void **state)
{
	static const char *const more[] = {"shapes-gcc-dwarf5-o0", "shapes-clang-dwarf5-o0",
					   "shapes-rust-o2", "chain-gcc-o0", "chain-clang-o2"};
	size_t n_optimized = sizeof(optimized) / sizeof(optimized[0]);
	unsigned n_compared = 0;

	if (system("llvm-symbolizer --version >/dev/null 2>&1") != 0) {
		print_message("llvm-symbolizer is missing\n");
		skip();
	}
	for (size_t i = 0; i < n_optimized + sizeof(more) / sizeof(more[0]); i++) {
		const char *victim = i < n_optimized ? optimized[i] : more[i - n_optimized];
		char asked[] = "/tmp/cprof-test-XXXXXX", command[8192], pending[8192];
		FILE *questions, *answers;
		uint64_t start, end, step, seed = 12345;
		struct subject s;

		if (!open_victim(&s, victim, true))
			continue;
		start = s.elf.text - s.elf.bias;
		end = text_end(&s) - s.elf.bias;
		step = (end - start) / 600 + 1;
		questions = fdopen(mkstemp(asked), "w");
		assert_non_null(questions);
		for (uint64_t at = start; at < end; at += step)
			fprintf(questions, "0x%lx\n", (long)(at + (seed * (at - start)) % step));
		fclose(questions);
		snprintf(command, sizeof(command),
			 "llvm-symbolizer -e '%s' --inlines --functions=linkage --no-demangle "
			 "--output-style=GNU --addresses <%s",
			 s.path, asked);
		answers = popen(command, "r");
		assert_non_null(answers);
		assert_non_null(fgets(pending, sizeof(pending), answers));
		for (uint64_t at = start; at < end; at += step)
			compare_answer(&s, at + (seed * (at - start)) % step, answers, pending,
				       &n_compared);
		pclose(answers);
		unlink(asked);
		close_subject(&s);
	}
	print_message("%u addresses compared\n", n_compared);
	if (n_compared == 0)
		skip();
	assert_true(n_compared > 300);
}

static void names_rust_functions(void **state)
{
	struct symbol_lines lines;
	struct subject s;
	bool outer = false;

	if (!open_victim(&s, "shapes-rust-o2", true))
		skip();
	for (uint64_t at = s.elf.text; at < text_end(&s) && !outer; at++) {
		char *name;

		assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
		if (!lines.n_lines)
			continue;
		name = symbol_demangle(lines.lines[lines.n_lines - 1].system_name);
		outer = lines.from_dwarf && strcmp(name, "shapes::outer") == 0;
		free(name);
	}
	assert_true(outer);
	close_subject(&s);
}

static void falls_back_to_the_symbol_table(void **state)
{
	struct symbol_lines lines;
	struct subject s;
	bool found = false;

	if (!open_victim(&s, "chain-gcc-nodebug", true))
		skip();
	for (uint64_t at = s.elf.text; at < text_end(&s); at++) {
		assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
		assert_false(lines.from_dwarf);
		assert_true(lines.n_lines <= 1);
		if (lines.n_lines && strcmp(lines.lines[0].system_name, "main") == 0) {
			found = true;
			assert_null(lines.lines[0].file);
			assert_int_equal(lines.lines[0].line, 0);
		}
	}
	assert_true(found);
	close_subject(&s);
}

/* The main file without its .dwo: names from the symbol table, lines from the skeleton. */
static void a_missing_split_file_costs_inlines_only(void **state)
{
	char dir[] = "/tmp/cprof-test-XXXXXX", path[256], command[8600];
	struct symbol_lines lines;
	struct subject s;
	bool found = false;

	if (!open_victim(&s, "shapes-gcc-split", true))
		skip();
	snprintf(path, sizeof(path), "%s/copy", mkdtemp(dir));
	/* Another length, so that the name in the file leads nowhere, and a FIFO at it. */
	snprintf(command, sizeof(command),
		 "sed 's/shapes-gcc-split-shapes.dwo/shapes-gcc-split-shapes.dwx/g' '%s' >%s && "
		 "mkfifo %s/shapes-gcc-split-shapes.dwx",
		 s.path, path, dir);
	assert_int_equal(system(command), 0);
	close_subject(&s);
	assert_true(open_path(&s, path, true));
	for (uint64_t at = s.elf.text; at < text_end(&s) && !found; at++) {
		assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
		assert_true(lines.n_lines <= 1);
		found = lines.n_lines && lines.from_dwarf && lines.lines[0].line &&
			strcmp(lines.lines[0].system_name, "_ZN6shapes5outerEj") == 0;
	}
	assert_true(found);
	assert_string_equal(module_problem(s.module), "split debug file (.dwo) not found");
	close_subject(&s);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* Bytes of the DWARF turned over: answers may be wrong, but there are answers. */
static void survive_corrupt(const char *victim)
{
	char path[] = "/tmp/cprof-test-XXXXXX";
	static char bytes[4 << 20];
	struct subject s;
	uint64_t seed = 88172645463325252ULL;
	ssize_t size;
	int fd;

	if (!open_victim(&s, victim, true))
		return;
	fd = open(s.path, O_RDONLY | O_CLOEXEC);
	size = read(fd, bytes, sizeof(bytes));
	close(fd);
	close_subject(&s);
	assert_true(size > 8192);
	fd = mkostemp(path, O_CLOEXEC);
	for (int round = 0; round < 30; round++) {
		struct symbol_lines lines;

		/* Behind the segments: sections that are not loaded. */
		for (int i = 0; i < 200; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[size / 10 + (ssize_t)(seed % (uint64_t)(size - size / 10 - 4096))] =
				(char)(seed >> 40);
		}
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
		if (!open_path(&s, path, true))
			break;
		for (uint64_t at = s.elf.text; at < text_end(&s); at += 97)
			assert_int_equal(symbolizer_lookup(s.symbolizer, s.module, at, &lines), 0);
		close_subject(&s);
	}
	close(fd);
	unlink(path);
}

static void survives_corrupt_dwarf(void **state)
{
	static const char *const victims[] = {"shapes-gcc-dwarf4-o2", "shapes-gcc-dwarf5-o2",
					      "shapes-clang-dwarf5-o2"};

	for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
		survive_corrupt(victims[i]);
}

static void demangles(void **state)
{
	static const struct {
		const char *name, *wanted;
	} cases[] = {
		{"main", "main"},
		{"_ZN6shapes5outerEj", "shapes::outer(unsigned int)"},
		{"_ZNSt6vectorIiSaIiEE9push_backERKi",
		 "std::vector<int, std::allocator<int> >::push_back(int const&)"},
		{"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"},
		{"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
		{"_ZN6shapes14with_cold_partEj.cold",
		 "shapes::with_cold_part(unsigned int) [clone .cold]"},
		{"_ZN6shapes5outerEj@plt", "shapes::outer(unsigned int)@plt"},
		{"malloc@plt", "malloc@plt"},
		{"_Z@plt", "_Z@plt"},
		{"_Z", "_Z"},
		{"_ZZZZ", "_ZZZZ"},
		{"_R", "_R"},
		{"runtime.mallocgc", "runtime.mallocgc"},
		{"", ""},
	};
	static char huge[100000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *name = symbol_demangle(cases[i].name);

		assert_string_equal(name, cases[i].wanted);
		free(name);
	}
	memset(huge, 'P', sizeof(huge) - 1);
	memcpy(huge, "_Z1f", 4);
	free(symbol_demangle(huge));
	huge[10000] = '\0';
	free(symbol_demangle(huge));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unfolds_inlined_calls),
		cmocka_unit_test(without_inlines_the_outermost_call_counts),
		cmocka_unit_test(finds_functions_within_functions),
		cmocka_unit_test(rows_are_those_of_libdw),
		cmocka_unit_test(forgets_a_module),
		cmocka_unit_test(agrees_with_llvm_symbolizer),
		cmocka_unit_test(names_rust_functions),
		cmocka_unit_test(falls_back_to_the_symbol_table),
		cmocka_unit_test(a_missing_split_file_costs_inlines_only),
		cmocka_unit_test(survives_corrupt_dwarf),
		cmocka_unit_test(demangles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
