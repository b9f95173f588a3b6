/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind_eh.h"

#include <dwarf.h>

#include "base/bytes.h"
#include "unwind/unwind_program.h"

#define ENTRY_SIZE 8 /* of the table: where code begins, where its FDE is */
#define MAX_AUGMENTATION 8

void unwind_eh_init(struct unwind_eh *eh, struct module *module)
{
	uint64_t svma = module_eh_frame_hdr(module);
	struct bytes hdr;
	size_t size;

	*eh = (struct unwind_eh){.module = module};
	hdr.at = svma ? module_bytes(module, svma, &size) : NULL;
	if (!hdr.at)
		return;
	hdr.end = hdr.at + size;
	/* Version; and the only encodings that linkers write. */
	if (bytes_fixed(&hdr, 1) != 1 ||
	    bytes_fixed(&hdr, 1) != (DW_EH_PE_pcrel | DW_EH_PE_sdata4) ||
	    bytes_fixed(&hdr, 1) != DW_EH_PE_udata4 ||
	    bytes_fixed(&hdr, 1) != (DW_EH_PE_datarel | DW_EH_PE_sdata4))
		return;
	bytes_skip(&hdr, 4);
	eh->n = (uint32_t)bytes_fixed(&hdr, 4);
	if (!eh->n || (size_t)(hdr.end - hdr.at) / ENTRY_SIZE < eh->n)
		return;
	eh->bias = module_bias(module);
	eh->hdr_svma = svma;
	eh->table = hdr.at;
}

static int32_t entry_word(const struct unwind_eh *eh, uint32_t i, unsigned which)
{
	int32_t word;

	memcpy(&word, eh->table + (size_t)i * ENTRY_SIZE + 4 * which, sizeof(word));
	return word;
}

/* The FDE of the last function that begins at or before svma; 0 when there is none. */
static uint64_t find_fde(const struct unwind_eh *eh, uint64_t svma)
{
	int64_t wanted = (int64_t)(svma - eh->hdr_svma);
	uint32_t low = 0, high = eh->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (entry_word(eh, middle, 0) <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? eh->hdr_svma + (uint64_t)(int64_t)entry_word(eh, low - 1, 1) : 0;
}

/* Opens a CIE or FDE for reading behind its length; *ret_svma is the address of what comes next. */
static bool open_entry(const struct unwind_eh *eh, uint64_t svma, struct bytes *ret_bytes,
		       uint64_t *ret_svma)
{
	size_t size;
	struct bytes b = {.at = module_bytes(eh->module, svma, &size)};
	uint64_t length;

	if (!b.at)
		return false;
	b.end = b.at + size;
	length = bytes_fixed(&b, 4);
	/* An extended length, the terminator, or nonsense. */
	if (length >= 0xfffffff0 || length < 4 || length > (uint64_t)(b.end - b.at))
		return false;
	b.end = b.at + length;
	*ret_bytes = b;
	*ret_svma = svma + 4;
	return true;
}

static unsigned encoded_size(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return 8;
	case DW_EH_PE_udata4:
	case DW_EH_PE_sdata4:
		return 4;
	}
	return 0;
}

static bool read_augmentation(struct bytes *b, const char *letters, struct unwind_cie *cie)
{
	struct bytes data = *b;
	uint64_t all;

	cie->encoding = DW_EH_PE_absptr;
	cie->augmented = letters[0] == 'z';
	if (!cie->augmented)
		return letters[0] == '\0';
	all = bytes_uleb(&data);
	if (all > (uint64_t)(data.end - data.at))
		return false;
	data.end = b->at = data.at + all;
	for (const char *letter = letters + 1; *letter; letter++) {
		unsigned size;

		switch (*letter) {
		case 'R':
			cie->encoding = (uint8_t)bytes_fixed(&data, 1);
			break;
		case 'L':
			bytes_skip(&data, 1);
			break;
		case 'P':
			size = encoded_size((uint8_t)bytes_fixed(&data, 1));
			if (!size)
				return false;
			bytes_skip(&data, size);
			break;
		default:
			/* 'S', a signal frame, among them. */
			return false;
		}
	}
	return true;
}

static bool read_cie(const struct unwind_eh *eh, uint64_t svma, struct unwind_cie *cie)
{
	const char *letters;
	uint64_t ignored;
	struct bytes b;
	uint8_t version;

	if (!open_entry(eh, svma, &b, &ignored) || bytes_fixed(&b, 4) != 0)
		return false;
	version = (uint8_t)bytes_fixed(&b, 1);
	if (version != 1 && version != 3)
		return false;
	letters = bytes_string(&b);
	if (!letters || strlen(letters) > MAX_AUGMENTATION)
		return false;
	cie->code_align = bytes_uleb(&b);
	cie->data_align = bytes_sleb(&b);
	cie->ra_reg = version == 1 ? bytes_fixed(&b, 1) : bytes_uleb(&b);
	if (!read_augmentation(&b, letters, cie))
		return false;
	cie->initial = b;
	return true;
}

/* Opens the FDE behind its CIE pointer, which is read, too; *ret_begin … is the code it is of. */
static bool open_fde(const struct unwind_eh *eh, uint64_t svma, struct unwind_cie *ret_cie,
		     struct bytes *ret_fde, uint64_t *ret_begin, uint64_t *ret_size)
{
	uint64_t at, begin;
	struct bytes fde;
	unsigned size;

	if (!open_entry(eh, svma, &fde, &at))
		return false;
	/* The distance back to the CIE. */
	if (!read_cie(eh, at - bytes_fixed(&fde, 4), ret_cie))
		return false;
	at += 4;
	size = encoded_size(ret_cie->encoding);
	if (!size || (ret_cie->encoding & 0xf0 && (ret_cie->encoding & 0xf0) != DW_EH_PE_pcrel))
		return false;
	begin = bytes_fixed(&fde, size);
	if (size == 4 && ret_cie->encoding & DW_EH_PE_signed)
		begin = (uint64_t)(int64_t)(int32_t)begin;
	*ret_begin = ret_cie->encoding & DW_EH_PE_pcrel ? begin + at : begin;
	*ret_size = bytes_fixed(&fde, size);
	if (ret_cie->augmented)
		bytes_skip(&fde, bytes_uleb(&fde));
	*ret_fde = fde;
	return true;
}

enum unwind_eh_result unwind_eh_rule(const struct unwind_eh *eh, const struct arch *arch,
				     uint64_t pc, struct unwind_rule *ret_rule)
{
	uint64_t svma = pc - eh->bias, fde_svma, begin, size;
	struct bytes fde;
	struct unwind_cie cie;

	if (!eh->table)
		return UNWIND_EH_ASK;
	fde_svma = find_fde(eh, svma);
	if (!fde_svma)
		return UNWIND_EH_NONE;
	if (!open_fde(eh, fde_svma, &cie, &fde, &begin, &size))
		return UNWIND_EH_ASK;
	/* The table has all: behind the end of one function begins nothing else. */
	if (svma - begin >= size)
		return UNWIND_EH_NONE;
	if (cie.ra_reg != arch->pc)
		return UNWIND_EH_ASK;
	return unwind_program_run(&cie, fde, begin, svma, arch, ret_rule) ? UNWIND_EH_RULE
									  : UNWIND_EH_ASK;
}
