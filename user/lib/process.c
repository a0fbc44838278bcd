// SPDX-License-Identifier: Apache-2.0
#include "lib/process.h"

#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

int process_open_signals(sigset_t *ret_before)
{
	sigset_t signals;
	int fd, error;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	error = pthread_sigmask(SIG_BLOCK, &signals, ret_before);
	if (error != 0) {
		(void)close(fd);
		return -error;
	}
	return fd;
}

int process_start_thread(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
	sigset_t signals, before;
	int error;

	(void)sigfillset(&signals);
	(void)sigdelset(&signals, SIGSYS);
	(void)pthread_sigmask(SIG_BLOCK, &signals, &before);
	error = pthread_create(ret_thread, NULL, run, context);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

void process_read_signal(int signal_fd)
{
	struct signalfd_siginfo signal;

	(void)!read(signal_fd, &signal, sizeof(signal));
}

void process_hide_memory(void)
{
	/* It cannot fail with this value. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void process_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned long process_file_limit(void)
{
	struct rlimit limit;

	/* RLIM_INFINITY is the largest value. */
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}
