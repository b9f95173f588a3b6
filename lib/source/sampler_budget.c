/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stops may cost the target.
 *
 * A thread stands still from its stop until its release. When it stopped is not told, and it may be
 * long after it was asked: it finishes the system call that it is in, and if it waits for a CPU it
 * has to get one first; in both cases it loses nothing. But it was after we last looked and found
 * no stop; and if we slept, a stop woke us, so that it was no earlier than the time that we
 * ourselves then waited for a CPU, which our own schedstat tells.
 *
 * Twice a second the sum is held against the CPU time that the target used. Above the budget the
 * period grows in proportion; with room to spare it shrinks in proportion, down to what was asked
 * for. Charged is what threads used, not the period, so the values stay true.
 */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "source/sampler_priv.h"

#define CHECK_EVERY (NSEC_PER_SEC / 2)
#define MAX_PERIOD NSEC_PER_SEC
/* The rate changes at most by this factor at once. */
#define MAX_STEP 4.0
/* Share of the budget that is aimed at when the rate rises. */
#define AIM 0.8
/* Less than this in the window is no basis for a judgement. */
#define MIN_HELD (200 * NSEC_PER_USEC)

static uint64_t target_cpu(const struct sampler *s)
{
	uint64_t sum = s->children_settled_ns;

	for (size_t i = 0; i < s->targets.n; i++)
		sum += s->targets.items[i]->cpu_ns - s->targets.items[i]->cpu_start_ns;
	return sum;
}

void sampler_budget_init(struct sampler *s, uint64_t now)
{
	s->budget = (struct sampler_budget){.period_ns = NSEC_PER_SEC / s->options.hz};
	s->stats.lowest_hz = s->options.hz;
	sampler_budget_begin(s, now);
}

void sampler_budget_begin(struct sampler *s, uint64_t now)
{
	s->budget.checked_at = now;
	s->budget.cpu_ns = target_cpu(s);
	s->budget.held_ns = 0;
	s->budget.long_pauses = 0;
}

/* Time that this thread spent runnable without a CPU. */
static uint64_t own_delay(const struct sampler *s)
{
	char text[128];
	ssize_t n = s->own_sched_fd < 0 ? -1 : pread(s->own_sched_fd, text, sizeof(text) - 1, 0);
	uint64_t times[2];

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return parse_fields(text, times, 2) == 2 ? times[1] : 0;
}

void sampler_budget_sleep(struct sampler *s)
{
	s->budget.own_delay_ns = own_delay(s);
}

void sampler_budget_woke(struct sampler *s)
{
	uint64_t delay = own_delay(s), waited = delay - MIN(delay, s->budget.own_delay_ns);

	sampler_budget_clear(s, clock_now_ns() - waited);
}

void sampler_budget_clear(struct sampler *s, uint64_t at)
{
	s->budget.clear_at = MAX(s->budget.clear_at, at);
}

uint64_t sampler_budget_add(struct sampler *s, const struct tracee_event *event)
{
	struct sampler_budget *budget = &s->budget;
	uint64_t now = clock_now_ns(), held = now - MAX(event->asked_ns, budget->clear_at);

	budget->held_ns += held;
	if (s->options.max_pause_ns && held > s->options.max_pause_ns) {
		budget->long_pauses++;
		s->stats.long_pauses++;
	}
	return held;
}

static double over_budget(const struct sampler *s, uint64_t used)
{
	const struct sampler_budget *budget = &s->budget;
	double allowed = s->options.max_overhead * (double)used, factor = 0;

	if (s->options.max_overhead > 0 && budget->held_ns > MIN_HELD)
		factor = allowed > 0 ? (double)budget->held_ns / allowed : MAX_STEP;
	/* A pause that is too long is made rarer; a stop cannot be made shorter. */
	if (budget->long_pauses)
		factor = MAX(factor, 2.0);
	return MIN(factor, MAX_STEP);
}

void sampler_budget_check(struct sampler *s, uint64_t now)
{
	struct sampler_budget *budget = &s->budget;
	uint64_t shortest = NSEC_PER_SEC / s->options.hz, cpu;
	double factor;

	if (now - budget->checked_at < CHECK_EVERY)
		return;
	cpu = target_cpu(s);
	factor = over_budget(s, cpu - MIN(cpu, budget->cpu_ns));
	if (factor > 1) {
		budget->period_ns = MIN((uint64_t)((double)budget->period_ns * factor), MAX_PERIOD);
		budget->period_ns = MAX(budget->period_ns, shortest);
		s->stats.throttled++;
		s->stats.lowest_hz = MIN(s->stats.lowest_hz, 1e9 / (double)budget->period_ns);
	} else if (factor < AIM) {
		factor = MAX(factor / AIM, 1 / MAX_STEP);
		budget->period_ns = (uint64_t)((double)budget->period_ns * factor);
		budget->period_ns = MAX(budget->period_ns, shortest);
	}
	budget->checked_at = now;
	budget->cpu_ns = cpu;
	budget->held_ns = 0;
	budget->long_pauses = 0;
}
