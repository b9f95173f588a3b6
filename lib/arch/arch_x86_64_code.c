/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64 machine code, decoded by Zydis 4.0: Intel SDM volume 2. */
#ifdef __x86_64__

#include <Zydis/Zydis.h>
#include <string.h>

#include "arch/arch_priv.h"
#include "base/cleanup.h"

/* A prologue that has not made its frame by then is none. */
#define MAX_PROLOGUE 64
#define MAX_CALL 8
#define MAX_ALIGNMENT 256
/* Code looked through for pushes, bytes. */
#define MAX_BODY 16384

static bool decode(const uint8_t *code, size_t size, ZydisDecodedInstruction *ret_instruction,
		   ZydisDecodedOperand *ret_operands)
{
	ZydisDecoder decoder;

	return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
					     ZYDIS_STACK_WIDTH_64)) &&
	       ZYAN_SUCCESS(
		       ZydisDecoderDecodeFull(&decoder, code, size, ret_instruction, ret_operands));
}

static bool is_sp(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       operand->reg.value == ZYDIS_REGISTER_RSP;
}

/* What one instruction takes off sp. False when that cannot be told from it alone. */
static bool sp_change(const ZydisDecodedInstruction *instruction,
		      const ZydisDecodedOperand *operands, int64_t *ret_down)
{
	*ret_down = 0;
	switch ((int)instruction->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		*ret_down = instruction->operand_width / 8;
		return true;
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_ADD:
		if (!is_sp(&operands[0]))
			return true;
		if (operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return false;
		*ret_down = operands[1].imm.value.s;
		if (instruction->mnemonic == ZYDIS_MNEMONIC_ADD)
			*ret_down = -*ret_down;
		return true;
	case ZYDIS_MNEMONIC_LEA:
		if (!is_sp(&operands[0]))
			return true;
		if (operands[1].mem.base != ZYDIS_REGISTER_RSP ||
		    operands[1].mem.index != ZYDIS_REGISTER_NONE)
			return false;
		*ret_down = -operands[1].mem.disp.value;
		return true;
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_ENTER:
		return false;
	default:
		break;
	}
	/* Anything else that writes sp: alignment, alloca(3). */
	for (unsigned i = 0; i < instruction->operand_count_visible; i++) {
		if (is_sp(&operands[i]) && operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			return false;
	}
	return true;
}

static bool ends_prologue(const ZydisDecodedInstruction *instruction)
{
	switch ((int)instruction->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SYSCALL:
		return true;
	default:
		return false;
	}
}

static bool is_reg(const ZydisDecodedOperand *operand, ZydisRegister reg)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value == reg;
}

/* and $-alignment, %rsp */
static bool aligns_sp(const ZydisDecodedInstruction *instruction,
		      const ZydisDecodedOperand *operands, uint64_t *ret_slack)
{
	int64_t alignment;

	if (instruction->mnemonic != ZYDIS_MNEMONIC_AND || !is_sp(&operands[0]) ||
	    operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return false;
	alignment = -operands[1].imm.value.s;
	if (alignment < 8 || alignment > MAX_ALIGNMENT || alignment & (alignment - 1))
		return false;
	*ret_slack = (uint64_t)alignment - 8;
	return true;
}

/*
 * -fstack-clash-protection takes large frames off page by page in a loop whose end is in a register
 * (gcc: lea -N(%rsp), %r11; clang: mov %rsp, %r11; sub $N, %r11).
 */
struct probe {
	ZydisRegister reg; /* NONE: there is no loop */
	int64_t bytes;     /* taken off sp when it ends */
	bool compared;     /* by the last instruction */
};

static void follow_probe(struct probe *probe, const ZydisDecodedInstruction *instruction,
			 const ZydisDecodedOperand *operands, int64_t bytes)
{
	bool to_reg = operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && !is_sp(&operands[0]);

	probe->compared = false;
	if (instruction->mnemonic == ZYDIS_MNEMONIC_LEA && to_reg &&
	    operands[1].mem.base == ZYDIS_REGISTER_RSP &&
	    operands[1].mem.index == ZYDIS_REGISTER_NONE) {
		*probe = (struct probe){operands[0].reg.value, bytes - operands[1].mem.disp.value,
					false};
	} else if (instruction->mnemonic == ZYDIS_MNEMONIC_MOV && to_reg && is_sp(&operands[1])) {
		*probe = (struct probe){operands[0].reg.value, bytes, false};
	} else if (probe->reg != ZYDIS_REGISTER_NONE && is_reg(&operands[0], probe->reg)) {
		if (instruction->mnemonic == ZYDIS_MNEMONIC_SUB &&
		    operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			probe->bytes += operands[1].imm.value.s;
		else
			probe->reg = ZYDIS_REGISTER_NONE;
	} else if (probe->reg != ZYDIS_REGISTER_NONE &&
		   instruction->mnemonic == ZYDIS_MNEMONIC_CMP) {
		probe->compared = is_sp(&operands[0]) && is_reg(&operands[1], probe->reg);
	}
}

/* Does anything in [at, until) move sp down? Ways out of the function move it up. */
static bool pushes(const uint8_t *code, size_t size, size_t at, size_t until)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	int64_t down;

	if (until > size || until > MAX_BODY)
		return true;
	while (at < until) {
		if (!decode(code + at, size - at, &instruction, operands))
			return true;
		at += instruction.length;
		if (instruction.mnemonic == ZYDIS_MNEMONIC_POP ||
		    instruction.mnemonic == ZYDIS_MNEMONIC_LEAVE)
			continue;
		if (instruction.mnemonic == ZYDIS_MNEMONIC_LEA && is_sp(&operands[0]))
			continue;
		if (!sp_change(&instruction, operands, &down) || down > 0)
			return true;
	}
	return false;
}

bool arch_x86_64_frame_size(const uint8_t *code, size_t size, size_t until, uint64_t *ret_bytes,
			    uint64_t *ret_slack)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	struct probe probe = {.reg = ZYDIS_REGISTER_NONE};
	int64_t bytes = 0, down;
	uint64_t slack = 0;
	size_t at = 0;

	for (int i = 0; i < MAX_PROLOGUE && at < until; i++) {
		if (!decode(code + at, size - at, &instruction, operands))
			return false;
		at += instruction.length;
		if (probe.compared && instruction.mnemonic == ZYDIS_MNEMONIC_JNZ &&
		    operands[0].imm.value.s < 0) {
			bytes = probe.bytes;
			probe.compared = false;
			continue;
		}
		if (ends_prologue(&instruction))
			break;
		follow_probe(&probe, &instruction, operands, bytes);
		if (!slack && aligns_sp(&instruction, operands, &slack))
			continue;
		if (!sp_change(&instruction, operands, &down))
			return false;
		bytes += down;
	}
	if (bytes < 0 || (slack && pushes(code, size, at, until)))
		return false;
	*ret_slack = slack;
	*ret_bytes = (uint64_t)bytes;
	return true;
}

bool arch_x86_64_call_before(const uint8_t *end, size_t size, uint64_t pc, uint64_t *ret_target)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;

	for (size_t length = 2; length <= MIN(size, (size_t)MAX_CALL); length++) {
		if (!decode(end - length, length, &instruction, operands) ||
		    instruction.length != length || instruction.mnemonic != ZYDIS_MNEMONIC_CALL)
			continue;
		*ret_target = 0;
		if (operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			*ret_target = pc + operands[0].imm.value.u;
		return true;
	}
	return false;
}

int64_t arch_x86_64_syscall_before(const uint8_t *end, size_t size)
{
	int32_t nr;

	/* mov $nr, %eax; syscall */
	if (size < 7 || end[-7] != 0xb8 || end[-2] != 0x0f || end[-1] != 0x05)
		return -1;
	memcpy(&nr, end - 6, sizeof(nr));
	return nr;
}

#endif
