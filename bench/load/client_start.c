// SPDX-License-Identifier: Apache-2.0
/*
 * Measures the start of a program, from exec to a line of its log (--until), and to the first
 * HTTP answer from --target. The request is tried every 0.1 ms, because tries
 * without a pause would keep a processor from the program. Ends the program by SIGTERM and waits
 * for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

/* A try whose packets were dropped ends after TRY_MS, the whole after LIMIT. */
#define TRY_MS	 2
#define PAUSE_NS 100000
#define LIMIT_NS 10000000000ULL

/* Reads the program's output until now. Tells whether the line is in it. */
static bool said(int fd, const char *line)
{
	static char text[16384];
	static size_t length;
	ssize_t count;

	while (length < sizeof(text) - 1 &&
	       (count = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)count;
	text[length] = '\0';
	return strstr(text, line) != NULL;
}

/* Tries one connection and request, within TRY_MS for each step. */
static bool answered(const struct client_options *options, uint64_t number)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct sockaddr_in address = client_address(options, number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
	struct pollfd event = {.fd = fd, .events = POLLOUT};
	socklen_t length = sizeof(error);
	char answer[16];
	bool ok = false;

	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
		goto out;
	if (poll(&event, 1, TRY_MS) != 1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		goto out;
	/* A connected socket is a steered one: all further time is part of the answer's. */
	event.events = POLLIN;
	ok = poll(&event, 1, 1000) == 1 && recv(fd, answer, sizeof(answer), 0) > 12 &&
	     memcmp(answer, "HTTP/1.1 200", 12) == 0;
out:
	(void)close(fd);
	return ok;
}

/* Starts the program. Its standard error goes into @ret_fd, and it dies with this process. */
static pid_t run(char **command, int *ret_fd)
{
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) < 0)
		die("pipe2");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(pipe_fds[1], STDERR_FILENO) >= 0)
			(void)execvp(command[0], command);
		die("cannot run %s", command[0]);
	}
	(void)close(pipe_fds[1]);
	*ret_fd = pipe_fds[0];
	return pid;
}

int client_start(const struct client_options *options)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_NS};
	uint64_t start, live = 0, first = 0, number = 0;
	struct pollfd output = {.events = POLLIN};
	struct rusage usage;
	int fd, status;
	pid_t pid;

	if (!options->command[0] || !options->until)
		die("start needs --until and a command");
	start = now_ns();
	pid = run(options->command, &fd);
	output.fd = fd;
	while ((!live || !first) && now_ns() - start < LIMIT_NS) {
		/* Ends with the next line; readable without end once the program has ended. */
		(void)ppoll(&output, 1, &pause, NULL);
		if (!live && said(fd, options->until))
			live = now_ns();
		if (!first && answered(options, number++))
			first = now_ns();
	}
	(void)kill(pid, SIGTERM);
	if (wait4(pid, &status, 0, &usage) < 0)
		die("wait4");
	if (!live || !first) {
		errno = 0;
		die("not live within 10 s (%s)",
		    live ? "no request was answered" : "it never said so");
	}
	(void)printf("{\"live_ms\": %.3f, \"first_ms\": %.3f, \"cpu_ms\": %.3f, \"errors\": %d}\n",
		     (double)(live - start) / 1e6, (double)(first - start) / 1e6,
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3,
		     WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1);
	return 0;
}
