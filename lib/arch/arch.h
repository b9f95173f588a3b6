/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is particular to a CPU, as const tables: registers, stack, system calls.
 *
 * The only place with architecture conditionals. Registers are numbered as in DWARF (x86-64: System
 * V psABI, figure 3.36).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_MAX_REGS 20

/** Register values of one frame. */
struct arch_regs {
	uint64_t values[ARCH_MAX_REGS];
	uint32_t known; /* bit per register */
};

static inline bool arch_reg_known(const struct arch_regs *regs, unsigned reg)
{
	return reg < ARCH_MAX_REGS && regs->known >> reg & 1;
}

static inline void arch_reg_set(struct arch_regs *regs, unsigned reg, uint64_t value)
{
	regs->values[reg] = value;
	regs->known |= 1U << reg;
}

/* What must hold, beside the number, before a call is started again. */
enum arch_restart_if {
	ARCH_RESTART_ALWAYS,
	ARCH_RESTART_SOCKET,  /* its first argument is the descriptor of a socket */
	ARCH_RESTART_NO_ARG1, /* its second argument is 0 */
};

/** A call that returns -EINTR to a stop, and that may be started again instead. */
struct arch_restart {
	int nr;
	enum arch_restart_if only_if;
	const char *why; /* why a restart loses nothing */
};

/** Where a call says how much it is asked for. */
enum arch_count {
	ARCH_COUNT_ARG,    /* in an argument */
	ARCH_COUNT_IOVEC,  /* in an array of struct iovec: its address is the argument, its length
			      the next one */
	ARCH_COUNT_MSGHDR, /* in the array that a struct msghdr refers to */
};

/** A call that can come back early with a smaller count because of a stop. */
struct arch_transfer {
	int nr;
	uint8_t count_arg; /* which argument (0..5) */
	uint8_t flag_arg;
	uint32_t flag; /* counts only with this bit in flag_arg; 0: always */
	enum arch_count count;
	bool keeps_error; /* its socket keeps what it was interrupted with: tracee_mend_socket() */
};

/** A thread that was stopped, and how it is to go on if nobody is there to say so. */
struct arch_resume {
	const void *user;   /* its register block */
	const void *vector; /* its NT_X86_XSTATE or the like, … */
	size_t vector_size; /* … of so many bytes */
	uint64_t mask;      /* its blocked signals */
	int64_t restarted;  /* the call that restart_syscall(2) continues if it is in that one */
	uint64_t resume_pc; /* target address of resume_code */
};

struct arch_slot {
	unsigned reg; /* DWARF number */
	int offset;
};

struct arch {
	const char *name;
	bool (*plt_slot)(const uint8_t *code, size_t size, uint64_t svma, uint64_t *ret_slot);
	bool (*frame_size)(const uint8_t *code, size_t size, size_t until, uint64_t *ret_bytes,
			   uint64_t *ret_slack);
	bool (*call_before)(const uint8_t *end, size_t size, uint64_t pc, uint64_t *ret_target);
	int64_t (*syscall_before)(const uint8_t *end, size_t size);
	unsigned n_regs, pc, sp, fp;
	unsigned n_saved; /* registers a callee preserves, beside sp */
	const uint8_t *saved;
	unsigned red_zone; /* bytes below sp that a leaf function may use */

	/* The kernel's register block for NT_PRSTATUS: size, and byte offsets in it. */
	size_t user_size;
	const uint16_t *user_offset; /* by DWARF number */
	uint16_t user_syscall;       /* number of the call that was entered; -1: none */
	uint16_t user_result;
	uint16_t user_args[6];
	uint16_t user_mode;    /* tells 64-bit code from 32-bit code … */
	uint64_t user_mode_32; /* … which has this value there */

	uint16_t user_tp; /* thread pointer: base of the thread's own variables */

	/* Code that every C library has somewhere: a system call and a return behind it; and the
	 * end of signal handlers, sigreturn(2). */
	const uint8_t *call_code, *resume_code;
	size_t call_code_size, resume_code_size;

	/* A call through a register that is preserved, and where a function with it must keep its
	 * caller's registers for the agent to pose as that function: see agent_wire.h. Offsets are
	 * from the CFA, which is the frame pointer plus frame_cfa. */
	const uint8_t *frame_code;
	size_t frame_code_size;
	const struct arch_slot *frame_slots;
	unsigned n_frame_slots;
	int frame_cfa;
	void (*call_set)(void *user, uint64_t nr, const uint64_t *args, uint64_t pc, uint64_t sp);
	size_t (*resume_frame)(const struct arch_resume *resume, uint8_t *bytes, size_t cap,
			       uint64_t *ret_addr);

	/* Relocations that put the address of a function into a word: ELF types. */
	uint32_t reloc_jump_slot, reloc_glob_dat, reloc_word;

	uint64_t restart_syscall; /* number of restart_syscall(2) */
	unsigned n_syscalls;
	const char *const *syscalls; /* names by number; NULL for holes */
	const struct arch_restart *restarts;
	unsigned n_restarts;
	const struct arch_transfer *transfers;
	unsigned n_transfers;
};

/** The CPU cprof was built for. */
const struct arch *arch_native(void);

/** A word of the kernel's register block. */
static inline uint64_t arch_user_word(const void *user, uint16_t offset)
{
	uint64_t word;

	__builtin_memcpy(&word, (const char *)user + offset, sizeof(word));
	return word;
}

/** Registers by DWARF number out of the kernel's block; all are known. */
void arch_regs_load(const struct arch *arch, const void *user, struct arch_regs *ret_regs);

/**
 * The import-table slot that an entry of a procedure linkage table jumps through.
 *
 * @param code, size	the entry's bytes
 * @param svma		its address; slot addresses are of the same kind
 * @return false when it is no such jump
 */
bool arch_plt_slot(const struct arch *arch, const uint8_t *code, size_t size, uint64_t svma,
		   uint64_t *ret_slot);

/**
 * How much a function takes off sp in its prologue after it has set the frame pointer.
 *
 * @param code, size	its bytes from there on
 * @param until		the offset of the pc of interest: no instruction from there on counts
 * @param ret_slack	aligning sp took up to that much more, a multiple of 8; unless 0 nothing
 *else moves sp down before `until`
 * @return false when sp depends on more than that (alloca(3))
 */
bool arch_frame_size(const struct arch *arch, const uint8_t *code, size_t size, size_t until,
		     uint64_t *ret_bytes, uint64_t *ret_slack);

/**
 * Is there a call right before a return address?
 *
 * @param end, size	size readable bytes that end where the return address points
 * @param pc		the return address
 * @param ret_target	what is called, as an address of the kind of pc; 0 for an indirect call
 */
bool arch_call_before(const struct arch *arch, const uint8_t *end, size_t size, uint64_t pc,
		      uint64_t *ret_target);

/** The number of the system call whose instructions end here, -1 when there is none. */
int64_t arch_syscall_before(const struct arch *arch, const uint8_t *end, size_t size);

/**
 * Puts a system call into a register block: to be made by code at pc as of call_code, with sp as
 * the stack pointer. A call that was entered before is forgotten.
 */
static inline void arch_call_set(const struct arch *arch, void *user, uint64_t nr,
				 const uint64_t *args, uint64_t pc, uint64_t sp)
{
	arch->call_set(user, nr, args, pc, sp);
}

/**
 * Makes what a stopped thread needs on its stack, below its red zone, to return to where it is by
 * itself: with the stack pointer at ret_addr it has only to return. An interrupted system call
 * begins anew.
 *
 * @param bytes, cap	room for the frame
 * @param ret_addr	target address that the bytes belong to
 * @return size of the frame, 0 when there is no room for it
 */
static inline size_t arch_resume_frame(const struct arch *arch, const struct arch_resume *resume,
				       uint8_t *bytes, size_t cap, uint64_t *ret_addr)
{
	return arch->resume_frame(resume, bytes, cap, ret_addr);
}

/** Name of a system call, or "syscall" for a number without one. */
const char *arch_syscall_name(const struct arch *arch, int nr);

/** The entry that allows starting a call again after a stop made it return -EINTR, or NULL. */
const struct arch_restart *arch_restart_find(const struct arch *arch, int nr);

/** Reads memory of the thread; false when it cannot or should not be read. */
typedef bool (*arch_read)(void *from, uint64_t addr, void *bytes, size_t size);

/**
 * The entry of the call whose registers these are if it came back with less than was asked for.
 *
 * @param read, from	for counts that are in memory
 */
const struct arch_transfer *arch_transfer_short(const struct arch *arch, const void *user,
						arch_read read, void *from);
