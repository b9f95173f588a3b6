/* SPDX-License-Identifier: Apache-2.0 */
/* Values with units, shares, and names, as text. */
#include "report/report_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct scale {
	const char *suffix;
	double factor; /* of the family's smallest unit */
};

/* Small to large. */
static const struct scale times[] = {
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"mins", 60e9}, {"hrs", 3600e9},
};
static const struct scale sizes[] = {
	{"B", 1}, {"kB", 1024}, {"MB", 1048576}, {"GB", 1073741824}, {"TB", 1099511627776},
};

static const struct {
	const char *unit;
	double factor;
	const struct scale *scales;
	size_t n_scales;
} units[] = {
	{"nanoseconds", 1, times, ARRAY_SIZE(times)},
	{"microseconds", 1e3, times, ARRAY_SIZE(times)},
	{"milliseconds", 1e6, times, ARRAY_SIZE(times)},
	{"seconds", 1e9, times, ARRAY_SIZE(times)},
	{"bytes", 1, sizes, ARRAY_SIZE(sizes)},
	{"kilobytes", 1024, sizes, ARRAY_SIZE(sizes)},
	{"megabytes", 1048576, sizes, ARRAY_SIZE(sizes)},
};

/* Two decimals at most, none at the end that are zero. */
static void format_number(double number, const char *suffix, char buffer[static REPORT_VALUE_SIZE])
{
	char digits[REPORT_VALUE_SIZE];
	size_t n;

	snprintf(digits, sizeof(digits), "%.2f", number);
	n = strlen(digits);
	while (digits[n - 1] == '0')
		n--;
	if (digits[n - 1] == '.')
		n--;
	snprintf(buffer, REPORT_VALUE_SIZE, "%.*s%s", (int)n, digits, suffix);
}

char *report_format_value(int64_t value, const char *unit, char buffer[static REPORT_VALUE_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		double amount = (double)value * units[i].factor;
		size_t k = units[i].n_scales - 1;

		if (strcmp(units[i].unit, unit) != 0)
			continue;
		while (k > 0 && fabs(amount) < units[i].scales[k].factor)
			k--;
		if (value == 0)
			snprintf(buffer, REPORT_VALUE_SIZE, "0");
		else
			format_number(amount / units[i].scales[k].factor, units[i].scales[k].suffix,
				      buffer);
		return buffer;
	}
	snprintf(buffer, REPORT_VALUE_SIZE, "%lld%.30s", (long long)value,
		 strcmp(unit, "count") == 0 ? "" : unit);
	return buffer;
}

char *report_format_share(int64_t value, int64_t total, char buffer[static REPORT_VALUE_SIZE])
{
	double percent = total ? 100 * ((double)value / (double)total) : 0;
	int decimals = fabs(percent) < 99.995 ? 2 : fabs(percent) < 999.95 ? 1 : 0;

	snprintf(buffer, REPORT_VALUE_SIZE, "%.*f%%", decimals, percent);
	return buffer;
}

/* C1 controls are U+0080 to U+009F: two bytes, c2 and 80 to 9f. */
static size_t control_length(const unsigned char *p)
{
	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	return p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f ? 2 : 0;
}

int report_write_name(struct sink *sink, const char *name)
{
	const unsigned char *p = (const unsigned char *)name, *clean = p;
	int r;

	while (*p) {
		size_t n = control_length(p);

		if (n == 0) {
			p++;
			continue;
		}
		r = sink_write(sink, clean, (size_t)(p - clean));
		if (r < 0)
			return r;
		r = sink_write(sink, "?", 1);
		if (r < 0)
			return r;
		p += n;
		clean = p;
	}
	return sink_write(sink, clean, (size_t)(p - clean));
}
