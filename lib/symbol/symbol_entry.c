/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the entries of one unit.
 *
 * libdw can do that, but looks every entry's abbreviation and attributes up anew for each question;
 * most entries of a unit are only passed by on the way to a function. Here one pass over an entry
 * gives its size and the attributes that say which code it covers. What an entry means for people
 * is still asked of libdw.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>

#include "base/cleanup.h"

/* Returns false for a form that is not known: nothing behind it can be read. */
static bool skip_form(const struct symbol_dies *dies, struct bytes *c, uint64_t form)
{
	int size = symbol_form_size(dies, form);

	if (size >= 0) {
		bytes_skip(c, (uint64_t)size);
		return true;
	}
	switch (form) {
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		(void)bytes_uleb(c);
		return true;
	case DW_FORM_string:
		return bytes_string(c);
	case DW_FORM_block1:
		bytes_skip(c, bytes_fixed(c, 1));
		return true;
	case DW_FORM_block2:
		bytes_skip(c, bytes_fixed(c, 2));
		return true;
	case DW_FORM_block4:
		bytes_skip(c, bytes_fixed(c, 4));
		return true;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		bytes_skip(c, bytes_uleb(c));
		return true;
	case DW_FORM_indirect:
		form = bytes_uleb(c);
		return form != DW_FORM_indirect && form != DW_FORM_implicit_const &&
		       skip_form(dies, c, form);
	default:
		return false;
	}
}

static bool read_attr(const struct symbol_dies *dies, struct bytes *c,
		      const struct symbol_attr *attr, struct symbol_entry *entry)
{
	unsigned size = attr->size > 0 ? (unsigned)attr->size : 0;
	struct bytes value = *c;

	if (attr->size >= 0)
		bytes_skip(c, size);
	else if (!skip_form(dies, c, attr->form))
		return false;
	switch (attr->name) {
	case DW_AT_sibling:
		if (size && size <= 8)
			entry->sibling = dies->unit_start + bytes_fixed(&value, size);
		break;
	case DW_AT_low_pc:
		entry->has_low = true;
		entry->low_is_index = attr->form != DW_FORM_addr;
		if (attr->form == DW_FORM_addrx || attr->form == DW_FORM_GNU_addr_index)
			entry->low_pc = bytes_uleb(&value);
		else if (size && size <= 8)
			entry->low_pc = bytes_fixed(&value, size);
		else
			entry->needs_libdw = true;
		break;
	case DW_AT_high_pc:
		entry->has_high = true;
		if (attr->form == DW_FORM_udata)
			entry->high_pc = bytes_uleb(&value);
		else if (size && size <= 8)
			entry->high_pc = bytes_fixed(&value, size);
		else
			entry->needs_libdw = true;
		/* Another class of forms: indexes and addresses that a compiler could write. */
		if (attr->form == DW_FORM_addrx || attr->form == DW_FORM_GNU_addr_index ||
		    (attr->form >= DW_FORM_addrx1 && attr->form <= DW_FORM_addrx4))
			entry->needs_libdw = true;
		entry->high_is_address = attr->form == DW_FORM_addr;
		break;
	case DW_AT_ranges:
		entry->has_ranges = true;
		if (attr->form == DW_FORM_rnglistx) {
			entry->ranges = bytes_uleb(&value);
			entry->ranges_is_index = true;
		} else if (size == 4 || size == 8) {
			entry->ranges = bytes_fixed(&value, size);
		} else {
			entry->needs_libdw = true;
		}
		break;
	default:
		break;
	}
	return true;
}

bool symbol_entry_read(const struct symbol_dies *dies, const uint8_t *at,
		       struct symbol_entry *ret_entry)
{
	struct bytes c = {at, dies->end};
	const struct symbol_abbrev *abbrev;
	const struct symbol_attr *attrs;
	uint64_t code = bytes_uleb(&c);

	*ret_entry = (struct symbol_entry){.at = at};
	if (code == 0 || code > dies->abbrevs.n)
		return false;
	abbrev = &dies->abbrevs.items[code - 1];
	ret_entry->tag = abbrev->tag;
	ret_entry->children = abbrev->children;
	attrs = &dies->attrs.items[abbrev->first];
	for (uint32_t i = 0; i < abbrev->n; i++) {
		if (!attrs[i].name && attrs[i].size >= 0)
			bytes_skip(&c, (uint64_t)attrs[i].size);
		else if (!read_attr(dies, &c, &attrs[i], ret_entry))
			return false;
	}
	ret_entry->behind = c.at;
	/* Forward only, so that a walk ends. */
	if (ret_entry->sibling && (ret_entry->sibling < c.at || ret_entry->sibling > dies->end))
		ret_entry->sibling = NULL;
	return ret_entry->tag != 0;
}

const uint8_t *symbol_entry_next(const struct symbol_dies *dies, const struct symbol_entry *entry)
{
	const uint8_t *at = entry->behind;
	struct symbol_entry child;

	if (!entry->children)
		return at;
	if (entry->sibling)
		return entry->sibling;
	for (unsigned level = 1; level > 0;) {
		if (at >= dies->end)
			return dies->end;
		if (*at == 0) {
			at++;
			level--;
			continue;
		}
		if (!symbol_entry_read(dies, at, &child))
			return dies->end;
		at = child.behind;
		if (child.children && child.sibling)
			at = child.sibling;
		else
			level += child.children;
	}
	return at;
}
