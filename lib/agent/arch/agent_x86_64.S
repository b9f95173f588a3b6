/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry and fast path of the agent on x86-64 (System V psABI 1.0).
 *
 * A slot of an import table points to one of the stubs, which looks up its entry and jumps to the
 * entry's handler. A call that is not sampled jumps on to its original with the stack and all
 * argument registers as they came; used are r10 and r11, and of functions known not to be variadic
 * rax, which no C function gets anything in (what has a static chain is never imported). The thread
 * pointer is the word at %fs:0 (ELF Handling For Thread-Local Storage, 3.4.6).
 *
 * The call-frame information is for cprof's own unwinder, which meets this code in stacks; the
 * target never sees it.
 */
#include "agent/agent_wire.h"

#define REG(n) (128 + 8 * (n))(%rsp)
#define CALL_OWNER 264(%rsp)
#define CALL_ENTRY 272(%rsp)
#define CALL_COUNTED 280(%rsp)
#define CALL_RESULT 288(%rsp)
#define CALL_RESULT2 296(%rsp)
#define CALL_RBX 472(%rsp)
#define CALL_R12 480(%rsp)
#define CALL_R13 488(%rsp)
#define CALL_R14 496(%rsp)
#define CALL_R15 504(%rsp)
#define CALL_RBP 512(%rsp)
#define CALL_SIZE 520

	.section .table, "a", @progbits
	.globl agent_table
	.hidden agent_table
	.type agent_table, @object
agent_table:
	.asciz AGENT_MAGIC
	.zero AGENT_TABLE_SIZE - 16
	.size agent_table, AGENT_TABLE_SIZE

.macro function name
	.type \name, @function
\name:
	.cfi_startproc
.endm

.macro end name
	.cfi_endproc
	.size \name, . - \name
.endm

	.text
	.globl agent_stubs
	.hidden agent_stubs
	.balign 64
function agent_stubs
	.set entry, 0
	.rept AGENT_MAX_ENTRIES
	.balign 16
	endbr64
	lea agent_table + AGENT_TABLE_ENTRIES + AGENT_ENTRY_SIZE * entry(%rip), %r11
	jmp *8(%r11)
	.set entry, entry + 1
	.endr
	end agent_stubs

/* rax: the wire; straight on when there is none. */
.macro load_wire
	mov agent_table + AGENT_TABLE_WIRE(%rip), %rax
	test %rax, %rax
	jz agent_straight
.endm

/* r10: the thread's slot; on to the slow path when it is not known to be its own. A zeroed wire,
 * in a child of fork, has no owners. */
.macro load_slot
	movabs $AGENT_HASH, %r10
	imul %fs:0, %r10
	shr $46, %r10
	and $0x3ffc0, %r10d
	lea AGENT_WIRE_SLOTS(%rax, %r10), %r10
	mov %fs:0, %rax
	cmp %rax, (%r10)
	jne agent_slow
.endm

.macro count_down size
	sub \size, AGENT_SLOT_LEFT(%r10)
	jle agent_slow_counted
	jmp *(%r11)
.endm

/* Flags tell whether an address may be one that lives. */
.macro test_filter address
	movabs $AGENT_HASH, %r10
	imul \address, %r10
	shr $(64 - AGENT_FILTER_BITS), %r10
	cmpb $0, AGENT_WIRE_FILTER(%rax, %r10)
.endm

.macro handler name
	.globl \name
	.hidden \name
	.balign 32
function \name
.endm

handler agent_alloc_arg0
	load_wire
	load_slot
	count_down %rdi
	end agent_alloc_arg0

handler agent_alloc_arg1
	load_wire
	load_slot
	count_down %rsi
	end agent_alloc_arg1

handler agent_alloc_arg2
	load_wire
	load_slot
	count_down %rdx
	end agent_alloc_arg2

handler agent_alloc_args01
	load_wire
	load_slot
	mov %rdi, %rax
	imul %rsi, %rax
	jo agent_straight
	count_down %rax
	end agent_alloc_args01

handler agent_realloc_arg1
	load_wire
	test_filter %rdi
	jne agent_slow
	load_slot
	count_down %rsi
	end agent_realloc_arg1

handler agent_realloc_args12
	load_wire
	test_filter %rdi
	jne agent_slow
	load_slot
	mov %rsi, %rax
	imul %rdx, %rax
	jo agent_straight
	count_down %rax
	end agent_realloc_args12

handler agent_free_arg0
	load_wire
	test_filter %rdi
	jne agent_slow
agent_straight:
	jmp *(%r11)
	end agent_free_arg0

/* Of variadic functions al is how many vector registers have arguments. */
handler agent_custom
	mov agent_table + AGENT_TABLE_WIRE(%rip), %r10
	test %r10, %r10
	jnz agent_slow
	jmp *(%r11)
	end agent_custom

handler agent_back
	ret
	end agent_back

function agent_slow_counted
	mov $1, %r10d
	jmp 1f
	end agent_slow_counted

function agent_slow
	xor %r10d, %r10d
1:	sub $CALL_SIZE, %rsp
	/* Not adjusted: clang 14 does not restore with the state what it adjusts. */
	.cfi_def_cfa_offset 8 + CALL_SIZE
	mov %rax, REG(0)
	mov %r10, CALL_COUNTED
	mov %r11, CALL_ENTRY
	mov %fs:0, %rax
	mov %rax, CALL_OWNER
	lea CALL_SIZE(%rsp), %rax
	mov %rax, REG(7)
	mov (%r11), %rax
	mov %rax, REG(16)
	mov %rdx, REG(1)
	mov %rcx, REG(2)
	mov %rbx, REG(3)
	mov %rsi, REG(4)
	mov %rdi, REG(5)
	mov %rbp, REG(6)
	mov %r8, REG(8)
	mov %r9, REG(9)
	mov %r12, REG(12)
	mov %r13, REG(13)
	mov %r14, REG(14)
	mov %r15, REG(15)
	mov %rsp, %rdi
	call agent_before
	cmp $1, %eax
	jb 2f
	ja 3f
	call restore
	call *16(%r11)
	mov %rax, CALL_RESULT
	mov %rdx, CALL_RESULT2
	mov %rsp, %rdi
	call agent_after
	test %eax, %eax
	jnz 2f
	mov CALL_RESULT, %rax
	mov CALL_RESULT2, %rdx
	.cfi_remember_state
	add $CALL_SIZE, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_restore_state
2:	call restore
	.cfi_remember_state
	add $CALL_SIZE, %rsp
	.cfi_def_cfa_offset 8
	jmp *(%r11)
	.cfi_restore_state

/* The original returns to agent_table.frame, which calls what rbx says. */
3:	mov %rbx, CALL_RBX
	mov %r12, CALL_R12
	mov %r13, CALL_R13
	mov %r14, CALL_R14
	mov %r15, CALL_R15
	mov %rbp, CALL_RBP
	.cfi_offset %rbx, -56
	.cfi_offset %rbp, -16
	lea CALL_RBP, %rbp
	lea 4f(%rip), %rbx
	call restore
	push agent_table + AGENT_TABLE_FRAME(%rip)
	.cfi_def_cfa_offset 16 + CALL_SIZE
	jmp *(%r11)
4:	endbr64
	add $8, %rsp
	.cfi_def_cfa_offset 8 + CALL_SIZE
	mov %rax, CALL_RESULT
	mov %rdx, CALL_RESULT2
	mov %rsp, %rdi
	call agent_after
	mov CALL_RESULT, %rax
	mov CALL_RESULT2, %rdx
	mov CALL_RBX, %rbx
	.cfi_restore %rbx
	mov CALL_RBP, %rbp
	.cfi_restore %rbp
	add $CALL_SIZE, %rsp
	.cfi_def_cfa_offset 8
	ret
	end agent_slow

/* What the original may look at; the return address of this call lies below the call. */
function restore
	mov 8 + CALL_ENTRY, %r11
	mov 8 + REG(0), %rax
	mov 8 + REG(1), %rdx
	mov 8 + REG(2), %rcx
	mov 8 + REG(4), %rsi
	mov 8 + REG(5), %rdi
	mov 8 + REG(8), %r8
	mov 8 + REG(9), %r9
	ret
	end restore

/* process_vm_readv(pid, local, 1, remote, 1, 0), number 310; system calls take their fourth
 * argument in r10 and use up rcx and r11 (syscall(2)). */
	.globl agent_copy
	.hidden agent_copy
function agent_copy
	sub $40, %rsp
	.cfi_adjust_cfa_offset 40
	mov %rsi, (%rsp)
	mov %rcx, 8(%rsp)
	mov %rdx, 16(%rsp)
	mov %rcx, 24(%rsp)
	mov %rsp, %rsi
	mov $1, %edx
	lea 16(%rsp), %r10
	mov $1, %r8d
	xor %r9d, %r9d
	mov $310, %eax
	syscall
	add $40, %rsp
	.cfi_adjust_cfa_offset -40
	xor %ecx, %ecx
	test %rax, %rax
	cmovs %rcx, %rax
	ret
	end agent_copy

	.globl agent_pid
	.hidden agent_pid
function agent_pid
	mov $39, %eax
	syscall
	ret
	end agent_pid

	.section .note.GNU-stack, "", @progbits
