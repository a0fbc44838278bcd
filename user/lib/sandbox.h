/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes from a running process what it does not need any more: system calls (seccomp(2)) and files
 * (landlock(7)). An attacker who gets control of it by a fault in a parser can then start no
 * program, trace no process and read no file.
 *
 * A call that is not on the role's list fails with ENOSYS, and one line is logged for each kind of
 * call. The process goes on, for two reasons. A newer C library tries newer calls first, and takes
 * ENOSYS for an older kernel. And an end would cut all connections for a call that was prevented
 * anyway.
 */
#ifndef SIDESTEP_SANDBOX_H
#define SIDESTEP_SANDBOX_H

#include <stdbool.h>

enum sandbox_role {
	SANDBOX_SIDECAR,  /* relays, and talks with the kernel by netlink */
	SANDBOX_GATEWAY,  /* relays */
	SANDBOX_DOCKER,	  /* talks by sockets that it is given */
	SANDBOX_EXPORTER, /* serves metrics, and sends them */
};

/* The most sockets in the file system that a process has. */
#define SANDBOX_SOCKETS 4

struct sandbox {
	enum sandbox_role role;
	bool own_programs;  /* changes and attaches BPF programs and maps, but loads none */
	bool names;	    /* looks names up, and reads the files for that */
	const char *folder; /* it removes this folder and the files in it at its end, or NULL */
	const char *sockets[SANDBOX_SOCKETS]; /* it removes these files at its end; or NULL */
	const char *log; /* it writes this file, and rotates it within its folder, or NULL */
};

/*
 * Takes the files from the calling thread and from threads that it starts later, and sets
 * no_new_privs. Open descriptors and connect(2) to unix sockets stay possible. Without Landlock
 * (before Linux 5.13, or where it is turned off) nothing happens. A failure is logged.
 */
void sandbox_files(const struct sandbox *sandbox);

/*
 * Takes the system calls from all threads, and sets no_new_privs. No thread may block SIGSYS
 * (process_start_thread()), because the kernel would end the process at a refused call. A failure
 * is logged.
 */
void sandbox_calls(const struct sandbox *sandbox);

#endif
