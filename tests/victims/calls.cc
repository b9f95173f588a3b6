/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the C library that a profiler may get wrong that stands between: arguments on the stack
 * and in vector registers, results in several registers, exceptions and cancellation that pass
 * through, errno, children.
 *
 *	calls	until its stdin ends; prints "alive N", and at the end "wrong N rounds N"
 */
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static std::atomic<long> wrong, rounds;

static void expect(bool is_so, const char *what)
{
	if (!is_so) {
		fprintf(stderr, "wrong: %s\n", what);
		wrong++;
	}
}

struct Guard {
	int *left;
	~Guard()
	{
		++*left;
	}
};

static int compare(const void *a, const void *b)
{
	if (*static_cast<const int *>(a) == 7 || *static_cast<const int *>(b) == 7)
		throw std::runtime_error("seven");
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

__attribute__((noinline)) static void sort(int *left)
{
	Guard guard{left};
	int numbers[] = {5, 3, 9, 7, 1};

	qsort(numbers, 5, sizeof(numbers[0]), compare);
}

static void throws()
{
	int left = 0, caught = 0;

	try {
		sort(&left);
	} catch (const std::runtime_error &) {
		caught++;
	}
	expect(caught == 1 && left == 1, "exception");
}

static void arguments()
{
	char text[200];
	int n = snprintf(text, sizeof(text), "%d %d %d %d %d %d %g %g %g %g %s %d %d", 1, 2, 3, 4,
			 5, 6, 1.5, 2.5, 3.5, 4.5, "seven", 8, 9);

	expect(strcmp(text, "1 2 3 4 5 6 1.5 2.5 3.5 4.5 seven 8 9") == 0, "arguments");
	expect(n == static_cast<int>(strlen(text)), "length");
}

static void results()
{
	ldiv_t parts = ldiv(1000000007L, 1000L);

	expect(parts.quot == 1000000 && parts.rem == 7, "two registers");
	expect(strtod("2.25", nullptr) == 2.25, "vector register");
	expect(strtold("2.125", nullptr) == 2.125L, "floating-point stack");
}

static void errors()
{
	errno = 0;
	expect(open("/nonexistent", O_RDONLY) == -1 && errno == ENOENT, "errno of open");
	errno = 4711;
	int fd = open("/dev/null", O_RDWR);
	expect(fd >= 0 && errno == 4711, "errno left alone");
	expect(dup2(fd, -1) == -1 && errno == EBADF, "errno of dup2");
	expect(close(fd) == 0 && close(fd) == -1 && errno == EBADF, "errno of close");
}

static void *accepting(void *arg)
{
	int *state = static_cast<int *>(arg);
	Guard guard{&state[1]};

	expect(accept(state[0], nullptr, nullptr) == 4711, "accept that is cancelled");
	return nullptr;
}

/* Cancellation is an unwinding that nobody catches; destructors run. */
static void cancelled()
{
	int state[] = {socket(AF_UNIX, SOCK_STREAM, 0), 0};
	struct sockaddr_un any = {};
	pthread_t thread;
	void *result;

	/* Bound to a name of the kernel's choice. */
	any.sun_family = AF_UNIX;
	expect(bind(state[0], reinterpret_cast<struct sockaddr *>(&any), sizeof(sa_family_t)) ==
			       0 &&
		       listen(state[0], 1) == 0,
	       "listen");
	expect(pthread_create(&thread, nullptr, accepting, state) == 0, "pthread_create");
	usleep(1000);
	expect(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0, "pthread_join");
	expect(result == PTHREAD_CANCELED && state[1] == 1, "cancelled");
	close(state[0]);
}

static void children()
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open("/dev/null", O_RDWR);

		_exit(fd >= 0 && close(fd) == 0 ? 0 : 1);
	}
	expect(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

int main()
{
	int polled;

	do {
		struct pollfd fd = {0, POLLIN, 0};

		throws();
		arguments();
		results();
		errors();
		cancelled();
		children();
		rounds++;
		printf("alive %ld\n", rounds.load());
		fflush(stdout);
		polled = poll(&fd, 1, 5);
	} while (polled <= 0);
	printf("wrong %ld rounds %ld\n", wrong.load(), rounds.load());
	return 0;
}
