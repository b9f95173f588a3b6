/* SPDX-License-Identifier: Apache-2.0 */
/* Files that changed, vanished, shrank or were never what they seem; separate debug files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "module_fixture.h"

/* The file is replaced by another one while mapped, as a package upgrade does it. */
static void a_replaced_file_is_not_read(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");
	char dir[] = "/tmp/cprof-test-XXXXXX", copy[64];
	struct mapped_elf elf;
	struct module *module;

	if (!path)
		skip();
	snprintf(copy, sizeof(copy), "%s/lib.so", mkdtemp(dir));
	run("cp '%s' %s", path, copy);
	module = map_module(f, &elf, copy);
	run("cp /bin/true %s.new && mv %s.new %s", copy, copy, copy);
	assert_true(module_is_elf(module));
	assert_int_equal(module_bias(module), elf.bias);
	if (access("/proc/self/map_files", R_OK | X_OK) == 0 && geteuid() == 0) {
		/* Through map_files: all there. */
		assert_true(has_symbol(module, &elf, "hidden_helper"));
		assert_null(module_problem(module));
	} else {
		assert_string_equal(module_problem(module), "file changed since it was mapped");
	}
	mapped_elf_close(&elf);
	run("rm -r %s", dir);
}

/* Without the privilege for map_files, a child that gave it up looks at a deleted file. */
static void a_deleted_file_is_put_together_from_memory(void **state)
{
	const char *path = victim_path("symbols.so");
	char dir[] = "/tmp/cprof-test-XXXXXX", copy[64];
	struct mapped_elf elf;
	int status;
	pid_t pid;

	if (!path || geteuid() != 0)
		skip();
	snprintf(copy, sizeof(copy), "%s/lib.so", mkdtemp(dir));
	run("cp '%s' %s && chmod 755 %s", path, copy, dir);
	pid = fork();
	if (pid == 0) {
		struct fixture f = {};
		struct module *module;
		const char *problem;
		uint64_t bias;
		bool good;

		if (setresuid(65534, 65534, 65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ||
		    process_open(getpid(), &f.process) < 0 || module_map_new(f.process, &f.map) < 0)
			_exit(2);
		elf = mapped_elf_open(copy);
		if (!elf.area || module_map_refresh(f.map) < 0)
			_exit(3);
		close(0);
		if (rename(copy, "/nonexistent/x") == 0)
			_exit(4);
		kill(getpid(), SIGSTOP);
		module = module_map_find(f.map, elf.text)->module;
		good = module_is_elf(module) && module_bias(module) == elf.bias &&
		       module_eh_cfi(module, &bias) && bias == elf.bias &&
		       strlen(module_build_id(module)) == 40;
		problem = module_problem(module);
		_exit(!good ? 5 : !problem || strncmp(problem, "cannot open", 11) != 0 ? 6 : 0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	unlink(copy);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	rmdir(dir);
}

/* A clone does not need the first module, nor the file's name, nor its mapping. */
static void a_clone_stands_by_itself(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");
	char copy[] = "/tmp/cprof-test-XXXXXX", id[2 * 64 + 1];
	struct process *process = NULL;
	struct module *module, *clone = NULL;
	struct mapped_elf elf;
	uint64_t bias, clone_bias;

	if (!path)
		skip();
	close(mkostemp(copy, O_CLOEXEC));
	run("cp '%s' %s", path, copy);
	module = map_module(f, &elf, copy);
	assert_true(module_is_elf(module));
	assert_non_null(module_dwarf(module, &bias));
	snprintf(id, sizeof(id), "%s", module_build_id(module));
	/* No way is left to open it again: the clone gets a copy. */
	unlink(copy);
	munmap(elf.area, elf.size);
	assert_int_equal(process_clone(f->process, &process), 0);
	assert_int_equal(module_clone(module, process, &clone), 0);
	module_map_free(f->map);
	assert_int_equal(module_map_new(f->process, &f->map), 0);
	assert_true(module_is_elf(clone));
	assert_string_equal(module_build_id(clone), id);
	assert_int_equal(module_bias(clone), elf.bias);
	assert_true(has_symbol(clone, &elf, "hidden_helper"));
	assert_non_null(module_dwarf(clone, &clone_bias));
	assert_int_equal(clone_bias, bias);
	assert_null(module_problem(clone));
	module_free(clone);
	process_close(process);
}

static void a_clone_of_no_elf_file_says_why(void **state)
{
	struct fixture *f = *state;
	struct module *module, *clone = NULL;
	void *area = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(module_map_refresh(f->map) >= MODULE_REFRESH_ADDED);
	module = module_of(f, area);
	assert_int_equal(module_clone(module, f->process, &clone), 0);
	assert_false(module_is_elf(clone));
	assert_string_equal(module_problem(clone), "no file behind this memory");
	module_free(clone);
	munmap(area, 4096);
}

static void a_file_cut_short_costs_one_module(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("shapes-gcc-dwarf5-o2");
	char copy[] = "/tmp/cprof-test-XXXXXX";
	struct module_symbol symbol;
	struct mapped_elf elf;
	struct module *module;
	unsigned before = module_sigbus_count();
	uint64_t bias;
	int fd;

	if (!path)
		skip();
	/* cmocka has a handler of its own in place during each test. */
	assert_int_equal(module_sigbus_guard(), 0);
	assert_int_equal(module_sigbus_guard(), 0);
	fd = mkostemp(copy, O_CLOEXEC);
	run("cp '%s' %s", path, copy);
	module = map_module(f, &elf, copy);
	assert_true(module_is_elf(module));
	assert_int_equal(ftruncate(fd, 5000), 0);
	/* All of these read what is gone. */
	module_eh_cfi(module, &bias);
	module_symbol_at(module, elf.text, &symbol);
	module_dwarf(module, &bias);
	module_debug_cfi(module, &bias);
	assert_true(module_sigbus_count() > before);
	assert_string_equal(module_problem(module), "file became shorter while it was read");
	/* The others are as they were. */
	assert_null(module_problem(module_of(f, &set_up)));
	mapped_elf_close(&elf);
	close(fd);
	unlink(copy);
}

static void another_sigbus_is_not_hidden(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		if (module_sigbus_guard() == 0)
			kill(getpid(), SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void what_is_no_elf_file_says_so(void **state)
{
	struct fixture *f = *state;
	char text[] = "/tmp/cprof-test-XXXXXX", elf_path[] = "/tmp/cprof-test-XXXXXX", bytes[8192];
	const char *path = victim_path("symbols.so");
	struct module_symbol symbol;
	struct module *module;
	uint64_t bias;
	void *area;
	int fd;

	fd = mkostemp(text, O_CLOEXEC);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	area = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	assert_int_equal(module_map_refresh(f->map), MODULE_REFRESH_ADDED);
	module = module_of(f, area);
	assert_false(module_is_elf(module));
	assert_null(module_elf(module));
	assert_null(module_eh_cfi(module, &bias));
	assert_null(module_debug_cfi(module, &bias));
	assert_null(module_dwarf(module, &bias));
	assert_false(module_symbol_at(module, (uintptr_t)area, &symbol));
	assert_string_equal(module_build_id(module), "");
	assert_string_equal(module_problem(module), "not an ELF file");
	munmap(area, 8192);
	close(fd);
	unlink(text);
	if (!path)
		return;
	/* A header that promises what is not there. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	fd = mkostemp(elf_path, O_CLOEXEC);
	assert_int_equal(write(fd, bytes, 4096), 4096);
	area = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_true(module_map_refresh(f->map) > 0);
	module = module_of(f, area);
	module_eh_cfi(module, &bias);
	module_dwarf(module, &bias);
	assert_false(module_symbol_at(module, (uintptr_t)area, &symbol));
	assert_non_null(module_problem(module));
	munmap(area, 4096);
	close(fd);
	unlink(elf_path);
}

enum link_case {
	LINK_BESIDE,
	LINK_DOT_DEBUG,
	LINK_ABSOLUTE_SYMLINK,
	LINK_WRONG_FILE,
	LINK_FIFO,
	LINK_GARBAGE,
	LINK_CASES,
};

/* A stripped file with .gnu_debuglink and without build id: the CRC decides. */
static void debug_links_are_followed_and_checked(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");

	if (!path || system("objcopy --version >/dev/null 2>&1") != 0) {
		print_message("objcopy is missing\n");
		skip();
	}
	for (enum link_case i = 0; i < LINK_CASES; i++) {
		char dir[] = "/tmp/cprof-test-XXXXXX", file[64];
		struct mapped_elf elf;
		struct module *module;
		bool found = i < LINK_WRONG_FILE;
		uint64_t bias = 0;

		assert_non_null(mkdtemp(dir));
		snprintf(file, sizeof(file), "%s/lib.so", dir);
		run("cd %s && objcopy --remove-section .note.gnu.build-id '%s' full && "
		    "objcopy --only-keep-debug full lib.debug && objcopy --strip-all "
		    "--add-gnu-debuglink=lib.debug full lib.so && rm full",
		    dir, path);
		switch (i) {
		case LINK_BESIDE:
		case LINK_CASES:
			break;
		case LINK_DOT_DEBUG:
			run("cd %s && mkdir .debug && mv lib.debug .debug", dir);
			break;
		case LINK_ABSOLUTE_SYMLINK:
			run("cd %s && mv lib.debug other && ln -s %s/other lib.debug", dir, dir);
			break;
		case LINK_WRONG_FILE:
			run("cd %s && echo more >>lib.debug", dir);
			break;
		case LINK_FIFO:
			run("cd %s && rm lib.debug && mkfifo lib.debug", dir);
			break;
		case LINK_GARBAGE:
			run("cd %s && head -c 100000 /dev/urandom >lib.debug", dir);
			break;
		}
		module = map_module(f, &elf, file);
		assert_non_null(module);
		assert_int_equal(module_dwarf(module, &bias) != NULL, found);
		assert_int_equal(has_symbol(module, &elf, "hidden_helper"), found);
		assert_true(has_symbol(module, &elf, "exported_function"));
		assert_int_equal(module_has_symtab(module), found);
		if (found)
			assert_int_equal(bias, elf.bias);
		if (i == LINK_FIFO)
			assert_string_equal(module_problem(module),
					    "debug file is not a regular file");
		mapped_elf_close(&elf);
		run("rm -r %s", dir);
	}
}

/* .gnu_debugaltlink as dwz(1) writes it: a name and the build id that must be there. */
static void a_shared_debug_file_must_have_its_build_id(void **state)
{
	struct fixture *f = *state;
	const char *path = victim_path("symbols.so");

	if (!path || system("objcopy --version >/dev/null 2>&1") != 0) {
		print_message("objcopy is missing\n");
		skip();
	}
	for (int right = 0; right < 3; right++) {
		char dir[] = "/tmp/cprof-test-XXXXXX", file[64];
		struct mapped_elf elf;
		struct module *module;
		uint64_t bias;
		Dwarf *dwarf;

		assert_non_null(mkdtemp(dir));
		snprintf(file, sizeof(file), "%s/lib.so", dir);
		/* The shared file is the victim itself, which has DWARF and a build id. */
		run("cd %s && cp '%s' shared && printf 'shared\\0' >link && "
		    "objcopy -O binary --only-section=.note.gnu.build-id --set-section-flags "
		    ".note.gnu.build-id=alloc '%s' note && tail -c 20 note >>link && "
		    "objcopy --add-section .gnu_debugaltlink=link '%s' lib.so",
		    dir, path, path, path);
		if (right == 0)
			run("cd %s && cp /bin/true shared", dir);
		if (right == 1)
			run("cd %s && rm shared && mkfifo shared", dir);
		module = map_module(f, &elf, file);
		dwarf = module_dwarf(module, &bias);
		assert_non_null(dwarf);
		assert_int_equal(dwarf_getalt(dwarf) != NULL, right == 2);
		assert_int_equal(module_problem(module) == NULL, right == 2);
		mapped_elf_close(&elf);
		run("rm -r %s", dir);
	}
}

/* The debug file by build id, from the package of the C library's symbols where it is there. */
static void debug_files_are_found_by_build_id(void **state)
{
	struct fixture *f = *state;
	struct module *libc = module_of(f, a64l);
	const char *id = module_build_id(libc);
	char path[128];
	uint64_t bias;

	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
	if (access(path, R_OK) != 0) {
		print_message("no debug file for the C library here\n");
		skip();
	}
	assert_non_null(module_dwarf(libc, &bias));
	assert_int_equal(bias, module_bias(libc));
	assert_true(module_has_symtab(libc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_replaced_file_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_deleted_file_is_put_together_from_memory, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_clone_stands_by_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_clone_of_no_elf_file_says_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_cut_short_costs_one_module, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(another_sigbus_is_not_hidden, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_elf_file_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(debug_links_are_followed_and_checked, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_shared_debug_file_must_have_its_build_id, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(debug_files_are_found_by_build_id, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
