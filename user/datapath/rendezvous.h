/* SPDX-License-Identifier: Apache-2.0 */
/* Connects a sidecar and the host's agent: both ends of the protocol in agent_wire.h. */
#ifndef SIDESTEP_RENDEZVOUS_H
#define SIDESTEP_RENDEZVOUS_H

#include "datapath/agent_wire.h"

/* Opens the sidecar's side. Returns a file descriptor (the caller's) that becomes readable when an
 * agent has come, or negative errno. The other end is AGENT_RENDEZVOUS_FD for the process's life.
 */
int rendezvous_open(void);

/* Takes the session that an agent offers. Returns its file descriptor (the caller's), -EPROTO when
 * the agent's version does not fit (logged), or another negative errno. */
int rendezvous_accept(int fd);

/*
 * Offers a session to the process behind @pidfd, for the agent. Returns the session's file
 * descriptor (the caller's) or negative errno:
 *
 *	-EAGAIN		the process has not opened the rendezvous yet
 *	-EPROTO		its version does not fit; @ret_greeting has it, and the sidecar was told
 *	-ENOTSUP	the process has another descriptor there
 */
int rendezvous_offer(int pidfd, struct agent_hello *ret_greeting);

/* Sends one message on a session, with a descriptor or -1. Returns 0 or negative errno; -EPIPE: the
 * other side is gone. @flags as for sendmsg(2). */
int rendezvous_send(int session, const void *message, size_t size, int fd, int flags);

/* Receives the next message. Returns its size or negative errno; -EPIPE: the other side is gone.
 * @ret_fd is the caller's; -1: none came. @flags as for recvmsg(2). */
int rendezvous_receive(int session, void *message, size_t size, int *ret_fd, int flags);

#endif
