/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stops may cost the target.
 *
 * A thread that is on a CPU stands still from the moment it is asked until it is released. A thread
 * that waits for a CPU when it is asked loses nothing before it is put on one, where it stops at
 * once; when that was is not told, so what counts is the time since we learned of it and, for the
 * wake-up of this thread, what an awaited stop usually takes.
 *
 * Twice a second the sum is held against the CPU time that the target used. Above the budget the
 * period grows in proportion; with room to spare it shrinks again, by a tenth, down to what was
 * asked for. Charged is what threads used, not the period, so the values stay true.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

#define CHECK_EVERY (NSEC_PER_SEC / 2)
#define MAX_PERIOD NSEC_PER_SEC
/* The rate is at most divided by this at once. */
#define MAX_STEP 4.0
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
	s->budget = (struct sampler_budget){
		.period_ns = NSEC_PER_SEC / s->options.hz,
		.checked_at = now,
		.cpu_ns = target_cpu(s),
	};
	s->stats.lowest_hz = s->options.hz;
}

uint64_t sampler_budget_add(struct sampler *s, const struct tracee_event *event, bool waited)
{
	struct sampler_budget *budget = &s->budget;
	uint64_t now = clock_now_ns(), held = now - event->asked_ns;

	if (waited)
		held = MIN(held, now - event->seen_ns + budget->usual_ns);
	else if (s->awaited)
		budget->usual_ns = budget->usual_ns ? (budget->usual_ns * 15 + held) / 16 : held;
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
	} else if (factor < 0.9) {
		budget->period_ns = MAX(budget->period_ns - budget->period_ns / 10, shortest);
	}
	budget->checked_at = now;
	budget->cpu_ns = cpu;
	budget->held_ns = 0;
	budget->long_pauses = 0;
}
