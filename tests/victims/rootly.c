/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts how often a set-user-ID program gets its user.
 *
 *	rootly run TIMES HELPER      executes HELPER as a child process, TIMES times
 *	rootly chain TIMES HELPER    becomes HELPER instead, which gives root up and becomes this
 *				     program again
 *
 * HELPER is a copy of this program that belongs to root and is set-user-ID; this one is started by
 * another user. Prints "ready", waits for a line, and prints "executed N root N" at the end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint64_t sink;

static void compute(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 3 + 1;
}

static int run(int times, char *helper)
{
	int root = 0;

	for (int i = 0; i < times; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			compute(100000);
			execl(helper, helper, "child", (char *)NULL);
			_exit(127);
		}
		compute(100000);
		if (waitpid(pid, &status, 0) != pid)
			return 1;
		root += status == 0;
	}
	printf("executed %d root %d\n", times, root);
	return 0;
}

static int become(char *program, char **argv, int left, int executed, int root)
{
	char texts[3][16];

	snprintf(texts[0], 16, "%d", left);
	snprintf(texts[1], 16, "%d", executed);
	snprintf(texts[2], 16, "%d", root);
	/* The programs change places. */
	execl(program, program, argv[1], texts[0], argv[0], texts[1], texts[2], (char *)NULL);
	return 1;
}

int main(int argc, char **argv)
{
	int left, executed, root, is_root = geteuid() == 0;
	char line[16];

	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return is_root ? 0 : 1;
	if (argc < 4)
		return 64;
	left = atoi(argv[2]);
	executed = argc > 4 ? atoi(argv[4]) : 0;
	root = argc > 5 ? atoi(argv[5]) : 0;
	if (argc == 4) {
		puts("ready");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 1;
		if (strcmp(argv[1], "run") == 0)
			return run(left, argv[3]);
	}
	/* The odd ones are the helper's turn. */
	if (left % 2) {
		executed++;
		root += is_root;
		if (setresuid(getuid(), getuid(), getuid()) < 0)
			return 1;
	} else {
		compute(100000);
	}
	if (left == 0) {
		printf("executed %d root %d\n", executed, root);
		return 0;
	}
	return become(argv[3], argv, left - 1, executed, root);
}
