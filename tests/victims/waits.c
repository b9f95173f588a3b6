/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread for each kind of wait, named after it. Makes files in the current folder. Its System V
 * message queue and semaphores end with it, in an IPC namespace of its own, where that is allowed.
 *
 *	waits [lazy | many N]
 *
 * With "lazy" one more thread is blocked on a stack whose far end is behind userfaultfd(2) and
 * never served: whoever reads it waits for ever. With "many" N threads wait in pause, and nothing
 * else does. Prints "ready" and the port that "accept" listens on when all are in their calls;
 * exits with 77 where userfaultfd is not allowed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 4096
#define LAZY_SIZE (1UL << 20)

static int pipes[2], listening, client, unix_pair[2];
static unsigned port;
static char buffer[128];
static atomic_int tids[MAX];
static int expected[MAX]; /* numbers of the calls, 0: any */
static int n_threads;

static void wait_pipe(void)
{
	(void)!read(pipes[0], buffer, 1);
}

static void wait_poll(void)
{
	struct pollfd fds[] = {{pipes[0], POLLIN, 0}, {-1, POLLIN, 0}, {client, POLLIN, 0}};

	poll(fds, 3, 100000000);
}

static void wait_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	select(pipes[0] + 1, &set, NULL, NULL, NULL);
}

static void wait_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = epoll_create1(0);

	epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event);
	epoll_wait(fd, &event, 1, -1);
}

static void wait_accept(void)
{
	accept(listening, NULL, NULL);
}

static void wait_tcp(void)
{
	recv(client, buffer, 1, 0);
}

static void wait_unix(void)
{
	recv(unix_pair[0], buffer, 1, 0);
}

static void wait_udp(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	bind(fd, (struct sockaddr *)&address, sizeof(address));
	recv(fd, buffer, 1, 0);
}

static void wait_eventfd(void)
{
	(void)!read(eventfd(0, 0), buffer, 8);
}

static void wait_timerfd(void)
{
	(void)!read(timerfd_create(CLOCK_MONOTONIC, 0), buffer, 8);
}

static void wait_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	(void)!read(signalfd(-1, &set, 0), buffer, sizeof(buffer));
}

static void wait_inotify(void)
{
	int fd = inotify_init();

	inotify_add_watch(fd, ".", IN_CREATE);
	(void)!read(fd, buffer, sizeof(buffer));
}

static void wait_flock(void)
{
	int first = open("locked", O_RDWR | O_CREAT, 0600), second = open("locked", O_RDWR);

	flock(first, LOCK_EX);
	flock(second, LOCK_EX);
}

static void wait_fifo(void)
{
	mkfifo("fifo", 0600);
	(void)!open("fifo", O_RDONLY);
}

static void wait_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	waitpid(child, NULL, 0);
}

static void wait_sleep(void)
{
	struct timespec time = {.tv_sec = 100000};

	nanosleep(&time, NULL);
}

static void wait_signal(void)
{
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &signal);
}

static void wait_message(void)
{
	struct {
		long type;
		char text[8];
	} message;
	int id = msgget(IPC_PRIVATE, 0600);

	msgrcv(id, &message, sizeof(message.text), 0, 0);
}

static void wait_semaphore(void)
{
	struct sembuf operation = {0, -1, 0};

	semop(semget(IPC_PRIVATE, 1, 0600), &operation, 1);
}

static void wait_mqueue(void)
{
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = sizeof(buffer)};
	char name[64];
	mqd_t queue;

	snprintf(name, sizeof(name), "/cprof-waits-%d", (int)getpid());
	queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
	mq_unlink(name);
	mq_receive(queue, buffer, sizeof(buffer), NULL);
}

static void wait_pause(void)
{
	pause();
}

static const struct kind {
	const char *name;
	void (*run)(void);
	int call;
} kinds[] = {
	{"pipe", wait_pipe, SYS_read},
	{"poll", wait_poll, SYS_poll},
	{"select", wait_select, SYS_pselect6},
	{"epoll", wait_epoll, SYS_epoll_wait},
	{"accept", wait_accept, SYS_accept},
	{"tcp", wait_tcp, SYS_recvfrom},
	{"unix", wait_unix, SYS_recvfrom},
	{"udp", wait_udp, SYS_recvfrom},
	{"eventfd", wait_eventfd, SYS_read},
	{"timerfd", wait_timerfd, SYS_read},
	{"signalfd", wait_signalfd, SYS_read},
	{"inotify", wait_inotify, SYS_read},
	{"flock", wait_flock, SYS_flock},
	{"fifo", wait_fifo, SYS_openat},
	{"child", wait_child, SYS_wait4},
	{"sleep", wait_sleep, SYS_clock_nanosleep},
	{"signal", wait_signal, SYS_rt_sigtimedwait},
	{"message", wait_message, SYS_msgrcv},
	{"semaphore", wait_semaphore, SYS_semtimedop},
	{"mqueue", wait_mqueue, SYS_mq_timedreceive},
	{"pause", wait_pause, SYS_pause},
};

static void *run(void *arg)
{
	int index = (int)(intptr_t)arg;
	const struct kind *kind = &kinds[index];

	pthread_setname_np(pthread_self(), kind->name);
	atomic_store(&tids[index], (int)syscall(SYS_gettid));
	for (;;)
		kind->run();
	return NULL;
}

static void *run_pause(void *arg)
{
	atomic_store(&tids[(intptr_t)arg], (int)syscall(SYS_gettid));
	pthread_setname_np(pthread_self(), "lazy");
	for (;;)
		pause();
	return NULL;
}

static int in_call(int index)
{
	char name[64], text[64] = "", number[16];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/task/%d/syscall", atomic_load(&tids[index]));
	snprintf(number, sizeof(number), "%d ", expected[index]);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strncmp(text, number, strlen(number)) == 0;
}

static void start(void *(*fn)(void *), int call, const pthread_attr_t *attr)
{
	pthread_t thread;

	expected[n_threads] = call;
	if (pthread_create(&thread, attr, fn, (void *)(intptr_t)n_threads) != 0)
		exit(1);
	n_threads++;
}

static void prepare(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	sigset_t set;

	(void)unshare(CLONE_NEWIPC);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe(pipes) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair) < 0)
		exit(1);
	listening = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listening, 8) < 0)
		exit(1);
	getsockname(listening, (struct sockaddr *)&address, &size);
	port = ntohs(address.sin_port);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    accept(listening, NULL, NULL) < 0)
		exit(1);
}

static void start_lazy(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	pthread_attr_t attr;
	char *stack;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		exit(77);
	/* The upper half is not part of the thread's stack, but of the same mapping. */
	stack = mmap(NULL, LAZY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)stack + LAZY_SIZE / 2;
	reg.range.len = LAZY_SIZE / 2;
	if (stack == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		exit(77);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, LAZY_SIZE / 2);
	start(run_pause, SYS_pause, &attr);
}

int main(int argc, char **argv)
{
	int many = argc > 2 && strcmp(argv[1], "many") == 0 ? atoi(argv[2]) : 0;
	pthread_attr_t small;

	alarm(600);
	prepare();
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	for (int i = 0; i < many && i < MAX; i++)
		start(run_pause, SYS_pause, &small);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !many; i++)
		start(run, kinds[i].call, NULL);
	if (argc > 1 && strcmp(argv[1], "lazy") == 0)
		start_lazy();
	for (int i = 0; i < n_threads; i++) {
		while (!in_call(i))
			usleep(1000);
	}
	printf("ready %u\n", port);
	fflush(stdout);
	for (;;)
		pause();
}
