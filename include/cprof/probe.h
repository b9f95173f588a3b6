/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles of a program's own making: what there is of something, and which calls made it.
 *
 *	cprof_add("payment", key, skip)		one more entry, with the stack of this call
 *	cprof_remove("payment", key)		that entry is gone
 *	cprof_count("retry", n)			n more, for ever
 *
 * `cprof record --type payment -p PID` and `cprof serve` show the stacks of the entries that are
 * there, as pprof.NewProfile does in Go. Nothing is to be linked, nothing to be started: without
 * cprof a call is one load, and a branch that is not taken.
 *
 * The name is a string literal of letters, digits, _ - and . The key is a pointer or an integer, by
 * which the entry is removed; 0 and -1 are ignored, and so are the upper 8 of its 64 bits. Added
 * again without having been removed, it replaces what it was. skip is how many frames are left out
 * at the leaf, inlined ones counted: 0 begins the stack in the function that calls cprof_add(), 1
 * in its caller, as in Go.
 *
 * Arguments are evaluated once, whether cprof is there or not. For C (C99 and later) and C++ with
 * gcc or clang, in programs and libraries, of Linux on x86-64; elsewhere the calls do nothing. They
 * may be made anywhere, also in signal handlers.
 *
 * Each call has a cell of 8 bytes, 0 or the address of a function that cprof has put there, and an
 * ELF note "cprof" that says where it is, what it does (1: add, 2: remove, 3: count) and the name.
 */
#ifndef CPROF_PROBE_H
#define CPROF_PROBE_H

#ifdef __cplusplus
namespace cprof_probe
{
template <typename T> inline unsigned long long word(T *pointer)
{
	return reinterpret_cast<unsigned long long>(pointer);
}
template <typename T> inline unsigned long long word(T number)
{
	return static_cast<unsigned long long>(number);
}
} // namespace cprof_probe
#define CPROF_WORD_(value) ::cprof_probe::word(value)
#else
#define CPROF_WORD_(value) ((unsigned long long)(value))
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__LP64__) && defined(__GNUC__)

/* Cells and notes are in sections of their own, so that what becomes of functions, of which the
 * linker keeps one or none, does not matter to them. */
#define CPROF_CALL_(what, name, first, second)                                                     \
	do {                                                                                       \
		void (*cprof_hook_)(unsigned long long, unsigned long long);                       \
		const unsigned long long cprof_first_ = (first), cprof_second_ = (second);         \
		__asm__ __volatile__(".pushsection .data.cprof_cells,\"aw\",@progbits\n"           \
				     ".balign 8\n"                                                 \
				     ".Lcprof_cell%=: .quad 0\n"                                   \
				     ".popsection\n"                                               \
				     ".pushsection .note.cprof,\"a\",@note\n"                      \
				     ".balign 4\n"                                                 \
				     ".long 6, .Lcprof_end%= - .Lcprof_desc%=, 1\n"                \
				     ".asciz \"cprof\"\n"                                          \
				     ".balign 4\n"                                                 \
				     ".Lcprof_desc%=: .quad .Lcprof_cell%= - .\n"                  \
				     ".long " what "\n"                                            \
				     ".asciz \"" name "\"\n"                                       \
				     ".Lcprof_end%=: .balign 4\n"                                  \
				     ".popsection\n"                                               \
				     "mov{q .Lcprof_cell%=(%%rip), %0|"                            \
				     " %0, qword ptr .Lcprof_cell%=[rip]}"                         \
				     : "=r"(cprof_hook_));                                         \
		if (__builtin_expect(cprof_hook_ != 0, 0)) {                                       \
			cprof_hook_(cprof_first_, cprof_second_);                                  \
			/* Not as a tail call, which would leave this function out. */             \
			__asm__ __volatile__("");                                                  \
		}                                                                                  \
	} while (0)

#else

#define CPROF_CALL_(what, name, first, second)                                                     \
	do {                                                                                       \
		const unsigned long long cprof_first_ = (first), cprof_second_ = (second);         \
		(void)cprof_first_;                                                                \
		(void)cprof_second_;                                                               \
		(void)sizeof("" name "");                                                          \
	} while (0)

#endif

#define cprof_add(name, key, skip) CPROF_CALL_("1", name, CPROF_WORD_(key), CPROF_WORD_(skip))
#define cprof_remove(name, key) CPROF_CALL_("2", name, CPROF_WORD_(key), 0)
#define cprof_count(name, n) CPROF_CALL_("3", name, CPROF_WORD_(n), 0)

#endif
