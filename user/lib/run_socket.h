/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets in the file system (unix(7)), for root on this machine alone. Those of a sidecar are
 * in its own mount namespace, where the application that shares its network has no file.
 */
#ifndef SIDESTEP_RUN_SOCKET_H
#define SIDESTEP_RUN_SOCKET_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

/* The folder of the sockets that no option names. */
#define RUN_SOCKET_FOLDER "/run/sidestep"

/* The agent's, on the host, with the events of all sidecars that it serves. */
#define RUN_SOCKET_AGENT RUN_SOCKET_FOLDER "/agent.events"

#define RUN_SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path))

/* Returns the number of the calling thread's network namespace in the names of sockets: its cookie
 * or, before Linux 5.14, its inode. */
uint64_t run_socket_netns(void);

/* Returns the same of the namespace that has @cookie in the maps, and @pid in it. Without cookies
 * the maps' number is always 1. 0: the process cannot be seen. */
uint64_t run_socket_netns_of(pid_t pid, uint64_t cookie);

/* Prints "ROOT/run/sidestep/NETNS.KIND", the socket of the sidecar in that namespace. @root is the
 * folder that the sidecar has as its root, "" where that is ours. Returns 0 or -ENAMETOOLONG. */
int run_socket_path(const char *root, uint64_t netns, const char *kind,
		    char path[RUN_SOCKET_PATH_MAX]);

/*
 * Listens at @path, which its owner alone may connect to, and makes the folders above it. Takes the
 * place of a socket that is there: the caller knows that its owner has ended. Any other file stays.
 * @type: SOCK_STREAM or SOCK_SEQPACKET. Returns a nonblocking descriptor, which the caller owns, or
 * negative errno; -EADDRINUSE: a file is there.
 */
int run_socket_listen(const char *path, int type, int backlog);

/* Connects to @path. Returns a blocking descriptor, which the caller owns, or negative errno. */
int run_socket_connect(const char *path, int type);

#endif
