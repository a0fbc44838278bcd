/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the process that every command makes at its start: signals and limits.
 */
#ifndef SIDESTEP_PROCESS_H
#define SIDESTEP_PROCESS_H

#include <pthread.h>
#include <signal.h>

/*
 * Blocks SIGTERM and SIGINT in the calling thread, and in threads that it starts later, and opens a
 * signalfd(2) that reports them. Stores the mask before in *@ret_before unless that is NULL.
 * Returns a nonblocking descriptor, which the caller owns, or a negative errno.
 */
int process_open_signals(sigset_t *ret_before);

/*
 * Starts a thread that takes no signals, which are the main thread's. SIGPIPE must not come from
 * splice(2) either. The one that it takes is SIGSYS, which is the thread's own (sandbox.h). Returns
 * 0 or a negative errno.
 */
int process_start_thread(pthread_t *ret_thread, void *(*run)(void *context), void *context);

/* Takes one pending signal off @signal_fd, if there is one. */
void process_read_signal(int signal_fd);

/*
 * Closes the process's memory and descriptors to others (PR_SET_DUMPABLE, prctl(2)). They may no
 * longer trace it or open its /proc/PID/mem, maps or fd, unless they hold CAP_SYS_PTRACE. The
 * kernel writes no core file.
 */
void process_hide_memory(void);

/* Raises the soft limit of open files (RLIMIT_NOFILE) to the hard one. */
void process_raise_file_limit(void);

/* Returns the soft limit. */
unsigned long process_file_limit(void);

#endif
