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

bool arch_x86_64_frame_size(const uint8_t *code, size_t size, size_t until, uint64_t *ret_bytes)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	int64_t bytes = 0, down;
	size_t at = 0;

	for (int i = 0; i < MAX_PROLOGUE && at < until; i++) {
		if (!decode(code + at, size - at, &instruction, operands))
			return false;
		if (ends_prologue(&instruction))
			break;
		if (!sp_change(&instruction, operands, &down))
			return false;
		bytes += down;
		at += instruction.length;
	}
	if (bytes < 0)
		return false;
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
