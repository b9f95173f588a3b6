/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The abbreviations of one unit: what its entries consist of.
 *
 * DWARF 5, sections 7.5.3 (abbreviations), 7.5.5 and 7.5.6 (forms).
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MAX_ABBREVS (1u << 20)

int symbol_form_size(const struct symbol_dies *dies, uint64_t form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return dies->address_size;
	case DW_FORM_ref_addr:
		return dies->version == 2 ? dies->address_size : dies->offset_size;
	case DW_FORM_sec_offset:
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return dies->offset_size;
	default:
		return -1;
	}
}

/* Does an attribute matter for walking? */
static bool is_wanted(uint64_t name)
{
	return name == DW_AT_sibling || name == DW_AT_low_pc || name == DW_AT_high_pc ||
	       name == DW_AT_ranges;
}

static int read_abbrev(struct symbol_dies *dies, struct bytes *c, struct symbol_abbrev *abbrev)
{
	struct symbol_attr *attr = NULL;

	abbrev->tag = (uint16_t)bytes_uleb(c);
	abbrev->children = bytes_fixed(c, 1) != 0;
	abbrev->first = (uint32_t)dies->attrs.n;
	while (!bytes_at_end(c)) {
		uint64_t name = bytes_uleb(c), form = bytes_uleb(c);
		int bytes;

		if (form == DW_FORM_implicit_const)
			(void)bytes_sleb(c);
		if (!name && !form)
			break;
		bytes = symbol_form_size(dies, form);
		/* Passed by together with the one before it. */
		if (attr && bytes >= 0 && attr->size >= 0 && !attr->name && !is_wanted(name) &&
		    attr->size + bytes <= INT16_MAX) {
			attr->size = (int16_t)(attr->size + bytes);
			continue;
		}
		attr = vec_push(&dies->attrs);
		if (!attr)
			return err_trace(-ENOMEM);
		attr->name = is_wanted(name) ? (uint16_t)name : 0;
		attr->form = (uint16_t)form;
		attr->size = (int16_t)bytes;
	}
	abbrev->n = (uint32_t)dies->attrs.n - abbrev->first;
	return 0;
}

static int load_abbrevs(struct symbol_dies *dies, struct bytes c)
{
	size_t limit = MIN((size_t)(c.end - c.at), (size_t)MAX_ABBREVS);

	while (!bytes_at_end(&c)) {
		uint64_t code = bytes_uleb(&c);
		int r;

		/* Codes count up from 1 in all that compilers write: a sparse table is corrupt. */
		if (code == 0 || code > limit)
			break;
		while (dies->abbrevs.n < code) {
			if (!vec_push(&dies->abbrevs))
				return err_trace(-ENOMEM);
		}
		r = read_abbrev(dies, &c, &dies->abbrevs.items[code - 1]);
		if (r < 0)
			return r;
	}
	return 0;
}

int symbol_dies_init(struct symbol_dies *dies, Dwarf_Die *unit)
{
	Dwarf *dwarf = dwarf_cu_getdwarf(unit->cu);
	struct bytes unit_bytes, abbrevs;
	Dwarf_Off abbrev_offset, offset = dwarf_dieoffset(unit), start;
	Dwarf_Die ignored;
	uint64_t length;

	*dies = (struct symbol_dies){};
	if (!dwarf_cu_die(unit->cu, &ignored, &dies->version, &abbrev_offset, &dies->address_size,
			  &dies->offset_size, NULL, NULL) ||
	    dies->address_size > 8)
		return 0;
	start = offset - dwarf_cuoffset(unit);
	unit_bytes = symbol_section(dwarf, "debug_info");
	abbrevs = symbol_section(dwarf, "debug_abbrev");
	if (offset >= (uint64_t)(unit_bytes.end - unit_bytes.at) ||
	    abbrev_offset >= (uint64_t)(abbrevs.end - abbrevs.at))
		return 0;
	dies->section = unit_bytes.at;
	dies->first = unit_bytes.at + offset;
	bytes_skip(&unit_bytes, start);
	length = bytes_fixed(&unit_bytes, 4);
	if (dies->offset_size == 8)
		length = bytes_fixed(&unit_bytes, 8);
	if (length < (uint64_t)(unit_bytes.end - unit_bytes.at))
		unit_bytes.end = unit_bytes.at + length;
	dies->end = unit_bytes.end;
	dies->unit_start = dies->section + start;
	bytes_skip(&abbrevs, abbrev_offset);
	return load_abbrevs(dies, abbrevs);
}

void symbol_dies_deinit(struct symbol_dies *dies)
{
	vec_deinit(&dies->abbrevs);
	vec_deinit(&dies->attrs);
	*dies = (struct symbol_dies){};
}
