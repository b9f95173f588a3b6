/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a line table, without keeping them.
 *
 * libdw makes 40 bytes of each row and sorts them: of a large program more than the whole file, and
 * most of the time. Here one pass over the program notes where its runs begin and end (a run is a
 * sequence of rows with rising addresses), and within a run the state at every 64th row. A row is
 * found by going on from the mark before it.
 *
 * DWARF 5, section 6.2.5.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"

#define ROWS_PER_MARK 64

enum step {
	STEP_NONE, /* the program is at its end */
	STEP_ROW,
	STEP_END_SEQUENCE,
};

static void advance(const struct symbol_table *t, struct symbol_row *row, uint64_t operations)
{
	if (t->max_ops == 1) {
		row->addr += t->min_length * operations;
		return;
	}
	row->addr += t->min_length * ((row->op_index + operations) / t->max_ops);
	row->op_index = (uint8_t)((row->op_index + operations) % t->max_ops);
}

static void reset(struct symbol_row *row)
{
	*row = (struct symbol_row){.at = row->at, .file = 1, .line = 1};
}

static enum step run_extended(const struct symbol_table *t, struct bytes *c, struct symbol_row *row)
{
	uint64_t length = bytes_uleb(c);
	struct bytes body = *c;

	bytes_skip(c, length);
	body.end = c->at;
	switch (bytes_fixed(&body, 1)) {
	case DW_LNE_end_sequence:
		return STEP_END_SEQUENCE;
	case DW_LNE_set_address:
		row->addr = bytes_fixed(&body, t->address_size);
		row->op_index = 0;
		break;
	default:
		break;
	}
	return STEP_NONE;
}

/* A standard opcode; true when it makes a row. */
static bool run_standard(const struct symbol_table *t, struct bytes *c, struct symbol_row *row,
			 uint8_t opcode)
{
	switch (opcode) {
	case DW_LNS_copy:
		return true;
	case DW_LNS_advance_pc:
		advance(t, row, bytes_uleb(c));
		return false;
	case DW_LNS_advance_line:
		row->line += (uint32_t)bytes_sleb(c);
		return false;
	case DW_LNS_set_file:
		row->file = (uint32_t)bytes_uleb(c);
		return false;
	case DW_LNS_set_column:
		row->column = (uint32_t)bytes_uleb(c);
		return false;
	case DW_LNS_const_add_pc:
		advance(t, row, (255u - t->opcode_base) / t->line_range);
		return false;
	case DW_LNS_fixed_advance_pc:
		row->addr += bytes_fixed(c, 2);
		row->op_index = 0;
		return false;
	default:
		for (unsigned i = 0; i < t->opcode_args[opcode]; i++)
			(void)bytes_uleb(c);
		return false;
	}
}

/* Runs the program up to its next row, which row then is. */
static enum step next_row(const struct symbol_table *t, struct symbol_row *row)
{
	struct bytes c = {row->at, t->program.end};
	enum step step = STEP_NONE;

	while (step == STEP_NONE && !bytes_at_end(&c)) {
		uint8_t opcode = *c.at++;

		if (opcode >= t->opcode_base) {
			unsigned operand = (unsigned)opcode - t->opcode_base;

			row->line += (uint32_t)(t->line_base + (int)(operand % t->line_range));
			advance(t, row, operand / t->line_range);
			step = STEP_ROW;
		} else if (opcode == 0) {
			step = run_extended(t, &c, row);
		} else if (run_standard(t, &c, row, opcode)) {
			step = STEP_ROW;
		}
	}
	row->at = c.at;
	return step;
}

static int add_mark(struct symbol_table *t, const struct symbol_row *row)
{
	struct symbol_row *mark = vec_push(&t->marks);

	if (!mark)
		return err_trace(-ENOMEM);
	*mark = *row;
	return 0;
}

static int end_run(struct symbol_table *t, uint32_t first_mark, uint64_t end)
{
	struct symbol_run *run;
	int r;

	r = symbol_ranges_put(&t->run_ranges, t->marks.items[first_mark].addr, end,
			      (uint32_t)t->runs.n);
	if (r < 0)
		return r;
	run = vec_push(&t->runs);
	if (!run)
		return err_trace(-ENOMEM);
	run->first = first_mark;
	run->n = (uint32_t)t->marks.n - first_mark;
	return 0;
}

static int load_runs(struct symbol_table *t)
{
	struct symbol_row row = {.at = t->program.at};
	uint32_t first_mark = 0, n = 0; /* rows since the last mark */
	bool in_run = false;
	uint64_t before = 0;
	enum step step;
	int r = 0;

	reset(&row);
	while (r >= 0 && (step = next_row(t, &row)) != STEP_NONE) {
		/* Addresses must not fall within a sequence; where they do, a new run begins. */
		if (in_run && (row.addr < before || step == STEP_END_SEQUENCE)) {
			r = end_run(t, first_mark, MAX(row.addr, before));
			in_run = false;
		}
		if (step == STEP_END_SEQUENCE) {
			reset(&row);
			continue;
		}
		if (!in_run)
			first_mark = (uint32_t)t->marks.n;
		if (r >= 0 && (!in_run || ++n == ROWS_PER_MARK)) {
			r = add_mark(t, &row);
			n = 0;
		}
		in_run = true;
		before = row.addr;
	}
	/* A program that stops within a sequence. */
	if (r >= 0 && in_run)
		r = end_run(t, first_mark, before);
	symbol_ranges_sort(&t->run_ranges);
	return r;
}

bool symbol_table_find(struct symbol_table *t, uint64_t addr, struct symbol_row *ret_row)
{
	const struct symbol_range *range;
	const struct symbol_run *run;
	struct symbol_row row;
	uint32_t low, high;
	size_t state = 0;

	if (!t->runs_loaded) {
		t->runs_loaded = true;
		/* Without memory for all of them there are lines for some. */
		(void)load_runs(t);
	}
	range = symbol_ranges_next(&t->run_ranges, addr, &state);
	if (!range || range->owner >= t->runs.n)
		return false;
	run = &t->runs.items[range->owner];
	/* The last mark that is not behind addr; the run begins at or before it. */
	low = run->first;
	high = run->first + run->n;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (t->marks.items[middle].addr <= addr)
			low = middle;
		else
			high = middle;
	}
	row = t->marks.items[low];
	do {
		*ret_row = row;
	} while (next_row(t, &row) == STEP_ROW && row.addr <= addr && row.addr >= ret_row->addr);
	return true;
}
