/* SPDX-License-Identifier: Apache-2.0 */
/* Where a sidecar and the host's agent meet: both ends of what agent_wire.h describes. */
#ifndef SIDESTEP_RENDEZVOUS_H
#define SIDESTEP_RENDEZVOUS_H

#include "datapath/agent_wire.h"

/* The sidecar's side. Returns a file descriptor (the caller's) that becomes readable when an agent
 * has come, or negative errno. The other end is AGENT_RENDEZVOUS_FD, for the process's life. */
int rendezvous_open(void);

/* Takes the session that an agent offers. Returns its file descriptor (the caller's), -EPROTO when
 * the agent's version does not fit (logged), or another negative errno. */
int rendezvous_accept(int fd);

/*
 * The agent's side: offers a session to the process behind @pidfd. Returns its file descriptor (the
 * caller's), -EAGAIN when the process has not opened the rendezvous (yet), -EPROTO when its
 * version does not fit (@ret_greeting tells it; the sidecar was told, too), -ENOTSUP when what it
 * has there is something else, or another negative errno.
 */
int rendezvous_offer(int pidfd, struct agent_hello *ret_greeting);

/* One message on a session, with a descriptor or -1. Returns 0 or negative errno; -EPIPE: the other
 * side is gone. @flags as for sendmsg(2). */
int rendezvous_send(int session, const void *message, size_t size, int fd, int flags);

/* The next message: its size, or negative errno; -EPIPE: the other side is gone. @ret_fd is the
 * caller's, -1: none came. @flags as for recvmsg(2). */
int rendezvous_receive(int session, void *message, size_t size, int *ret_fd, int flags);

#endif
