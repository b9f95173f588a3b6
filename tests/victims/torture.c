/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking system calls, one per thread, that must not notice a profiler.
 *
 *	torture [--only NAME,...] [--copies N] [--late-ms N] [--list] SECONDS
 *
 * Each thread computes for a moment, so that a sampler meets it on the edge of its call, makes the
 * call with a known end (its time-out; an event; a signal with a handler), and looks at the result.
 * Signals that are ignored are sent to all of them the whole time. Prints "ready N"; SIGTERM ends
 * it early. Then a line per call:
 *
 *	NAME calls N eintr N wrong N early N late N again N p50_us N p90_us N worst_us N
 *
 * eintr: without a handler having run. early, late: against the end of the time-out or the moment
 * when the event was made; late means by more than --late-ms. again: late by as much as the whole
 * time-out, of those that are long enough to tell.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define MAX_WAITERS 512
#define MAX_LATENESS 20000
#define MAX_IDS 256
#define AGAIN_FROM (40 * MSEC)

static const struct call *const families[] = {calls_sleep, calls_file,   calls_futex,
					      calls_ipc,   calls_socket, calls_ring};

struct shared {
	struct waiter waiters[MAX_WAITERS];
	struct {
		int id;
		bool is_queue;
	} ids[MAX_IDS];
	unsigned n_ids, n_waiters;
};

static struct shared *shared;
static atomic_bool stop;
static uint64_t late_ns = 20 * MSEC;
static __thread struct waiter *self;
static volatile uint64_t sink;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec;
}

struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / SEC), (long)(ns % SEC)};
}

struct timespec realtime_in(uint64_t ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return timespec_of((uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec + ns);
}

int want(long r, long wanted)
{
	if (r == wanted)
		return 0;
	return r < 0 ? errno : WRONG;
}

int want_error(long r, int error)
{
	if (r >= 0)
		return WRONG;
	return errno == error ? 0 : errno;
}

int open_nameless(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

void remove_at_end(int id, bool is_queue)
{
	if (shared->n_ids == MAX_IDS)
		abort();
	shared->ids[shared->n_ids].id = id;
	shared->ids[shared->n_ids++].is_queue = is_queue;
}

static void remove_ids(void)
{
	for (unsigned i = 0; i < shared->n_ids; i++) {
		if (shared->ids[i].is_queue)
			msgctl(shared->ids[i].id, IPC_RMID, NULL);
		else
			semctl(shared->ids[i].id, 0, IPC_RMID);
	}
}

/* Outlives the others by a moment. Returns the pipe whose end it waits for. */
static int start_guardian(pid_t *ret_pid)
{
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0)
		exit(1);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		close(fds[1]);
		while (read(fds[0], &byte, 1) > 0)
			;
		remove_ids();
		_exit(0);
	}
	close(fds[0]);
	return fds[1];
}

static uint64_t random_below(struct waiter *w, uint64_t n)
{
	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->random >> 33) % n;
}

/* Mostly short, up to 2 ms; 0.33 ms on average. */
static void compute(struct waiter *w)
{
	uint64_t r = random_below(w, 1000), end;

	end = now_ns() + r * r * r / MSEC * r * r / MSEC * 2000;
	do {
		for (int i = 0; i < 1000; i++)
			sink = sink * 3 + 1;
	} while (now_ns() < end);
}

static uint64_t scheduler_tick(void)
{
	struct timespec ts;

	clock_getres(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_nsec;
}

static void note_end(struct waiter *w, uint64_t end, uint64_t due, uint64_t ns)
{
	uint64_t tick = w->call->coarse ? scheduler_tick() : 0, lateness;

	/* The two clocks differ a little. */
	if (end + tick + MSEC / 10 < due)
		w->early++;
	/* The kernel's timer wheel: an eighth beyond 64 ticks (kernel/time/timer.c). */
	due += tick ? tick + (ns / tick >= 63 ? 8 * tick : 0) : 0;
	lateness = end > due ? end - due : 0;
	w->late += lateness > late_ns;
	w->again += !w->woken_at && ns >= AGAIN_FROM && lateness > ns * 9 / 10;
	if (w->n_lateness < MAX_LATENESS)
		w->lateness_us[w->n_lateness++] = (uint32_t)(lateness / 1000);
}

static void one_round(struct waiter *w)
{
	const struct call *call = w->call;
	uint64_t ns =
		(random_below(w, 8) ? 5 + random_below(w, 45) : 300 + random_below(w, 200)) * MSEC;
	bool event = call->wake || call->handled || call->by_child;
	uint64_t end, due;
	int r;

	compute(w);
	atomic_store(&w->woken_at, 0);
	atomic_store(&w->handled, false);
	w->start = now_ns();
	if (call->wake || call->handled)
		atomic_store(&w->wake_at, w->start + ns);
	/* An event comes once: until then the call is made again. */
	do {
		r = call->wait(w, call->handled ? 30 * SEC : ns);
		end = now_ns();
		due = event ? atomic_load(&w->woken_at) : w->start + ns;
		w->calls++;
		if (r == EINTR && call->handled && atomic_load(&w->handled)) {
			r = 0;
		} else if (r == EINTR) {
			w->eintr++;
		} else if (r || call->handled) {
			w->wrong++;
			w->last_wrong = r;
		} else if (!due) {
			w->early++;
		}
	} while (event && !due);
	if (r == 0)
		note_end(w, end, due, ns);
}

static void on_signal(int signal)
{
	(void)signal;
	atomic_store(&self->handled, true);
}

static void *run_waiter(void *arg)
{
	char path[64];
	sigset_t set;

	self = arg;
	self->tid = (pid_t)syscall(SYS_gettid);
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", self->tid);
	self->syscall_fd = open(path, O_RDONLY | O_CLOEXEC);
	pthread_setname_np(pthread_self(), self->call->name);
	sigemptyset(&set);
	sigaddset(&set, SIG_HANDLED);
	/* sigsuspend lets it in by itself. */
	pthread_sigmask(strcmp(self->call->name, "h-sigsuspend") ? SIG_UNBLOCK : SIG_BLOCK, &set,
			NULL);
	while (!atomic_load(&stop))
		one_round(self);
	return NULL;
}

/* Only a thread that is in its call can be woken from it. */
static bool is_blocked(const struct waiter *w)
{
	char text[32];

	return pread(w->syscall_fd, text, sizeof(text), 0) > 0 && text[0] >= '0' && text[0] <= '9';
}

static void *run_waker(void *arg)
{
	static const int ignored[] = {SIGWINCH, SIGCHLD, SIG_IGNORED, SIGURG};
	unsigned next = 0;

	pthread_setname_np(pthread_self(), "waker");
	while (!atomic_load((atomic_bool *)arg)) {
		struct timespec pause = timespec_of(MSEC);

		for (unsigned i = 0; i < shared->n_waiters; i++) {
			struct waiter *w = &shared->waiters[i];
			uint64_t at = atomic_load(&w->wake_at);

			if (!at || now_ns() < at || !is_blocked(w))
				continue;
			atomic_store(&w->wake_at, 0);
			atomic_store(&w->woken_at, now_ns());
			if (w->call->handled)
				syscall(SYS_tgkill, getpid(), w->tid, SIG_HANDLED);
			else
				w->call->wake(w);
		}
		for (int i = 0; i < 8; i++, next++)
			syscall(SYS_tgkill, getpid(), shared->waiters[next % shared->n_waiters].tid,
				ignored[next / shared->n_waiters % 4]);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_waiter(struct waiter *w)
{
	unsigned n = w->n_lateness;

	qsort(w->lateness_us, n, sizeof(*w->lateness_us), compare);
	printf("%s calls %u eintr %u wrong %u early %u late %u again %u p50_us %u p90_us %u "
	       "worst_us %u\n",
	       w->call->name, w->calls, w->eintr, w->wrong, w->early, w->late, w->again,
	       n ? w->lateness_us[n / 2] : 0, n ? w->lateness_us[n * 9 / 10] : 0,
	       n ? w->lateness_us[n - 1] : 0);
	if (w->wrong)
		fprintf(stderr, "%s: last wrong result: %s\n", w->call->name,
			w->last_wrong > 0 ? strerror(w->last_wrong) : "a value");
}

static bool is_chosen(const char *only, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = only; at && (at = strstr(at, name)); at += n) {
		if ((at == only || at[-1] == ',') && (at[n] == ',' || !at[n]))
			return true;
	}
	return !only;
}

static void add_waiter(const struct call *call)
{
	struct waiter *w = &shared->waiters[shared->n_waiters];
	int r;

	if (shared->n_waiters == MAX_WAITERS)
		return;
	w->call = call;
	w->random = shared->n_waiters * 77 + (uint64_t)getpid();
	w->lateness_us = malloc(MAX_LATENESS * sizeof(*w->lateness_us));
	r = call->setup ? call->setup(w) : 0;
	if (r) {
		fprintf(stderr, "%s: skipped: %s\n", call->name, strerror(r));
		return;
	}
	shared->n_waiters++;
}

static void prepare_signals(sigset_t *ret_end)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t set;

	sigaction(SIG_HANDLED, &action, NULL);
	signal(SIG_IGNORED, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(ret_end);
	sigaddset(ret_end, SIGTERM);
	sigaddset(ret_end, SIGINT);
	set = *ret_end;
	sigaddset(&set, SIG_TAKEN);
	sigaddset(&set, SIG_HANDLED);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Until then, or SIGTERM. */
static void wait_for_end(const sigset_t *set, uint64_t end)
{
	while (now_ns() < end) {
		struct timespec left = timespec_of(end - now_ns());

		if (sigtimedwait(set, NULL, &left) > 0)
			return;
	}
}

static pthread_t start_thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	if (pthread_create(&thread, &attr, run, arg)) {
		fputs("torture: cannot make threads\n", stderr);
		exit(1);
	}
	return thread;
}

static void run(uint64_t seconds)
{
	static atomic_bool stop_waker;
	pthread_t waker;
	sigset_t end;
	pid_t guardian;
	int guard;

	prepare_signals(&end);
	guard = start_guardian(&guardian);
	for (unsigned i = 0; i < shared->n_waiters; i++)
		shared->waiters[i].thread = start_thread(run_waiter, &shared->waiters[i]);
	waker = start_thread(run_waker, &stop_waker);
	printf("ready %u\n", shared->n_waiters);
	fflush(stdout);
	wait_for_end(&end, now_ns() + seconds * SEC);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < shared->n_waiters; i++)
		pthread_join(shared->waiters[i].thread, NULL);
	atomic_store(&stop_waker, true);
	pthread_join(waker, NULL);
	for (unsigned i = 0; i < shared->n_waiters; i++)
		print_waiter(&shared->waiters[i]);
	close(guard);
	waitpid(guardian, NULL, 0);
}

int main(int argc, char **argv)
{
	const char *only = NULL, *seconds = NULL;
	int copies = 1;
	bool list = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			list = true;
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only = argv[++i];
		else if (!strcmp(argv[i], "--copies") && i + 1 < argc)
			copies = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--late-ms") && i + 1 < argc)
			late_ns = strtoull(argv[++i], NULL, 10) * MSEC;
		else
			seconds = argv[i];
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || (!list && !seconds))
		return 2;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		for (const struct call *call = families[i]; call->name; call++) {
			if (list)
				puts(call->name);
			for (int copy = 0; !list && copy < copies && is_chosen(only, call->name);
			     copy++)
				add_waiter(call);
		}
	}
	if (list)
		return 0;
	if (!shared->n_waiters)
		return 77;
	run(strtoull(seconds, NULL, 10));
	return 0;
}
