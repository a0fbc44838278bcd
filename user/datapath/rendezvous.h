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
 * Finds the meeting of the process behind @pidfd, for the agent, and reads its greeting. Returns
 * the agent's end (the caller's) or negative errno:
 *
 *	-EAGAIN		the process has not opened the rendezvous yet
 *	-ENOTSUP	the process has another descriptor there
 *
 * Anybody can greet. The caller checks the process's rights before it makes an offer.
 */
int rendezvous_find(int pidfd, struct agent_hello *ret_greeting);

/* Offers a session at the end that rendezvous_find() returned, to a sidecar with that @greeting.
 * Returns the session's file descriptor (the caller's) or negative errno; -EPROTO: its version does
 * not fit, and the sidecar was told. */
int rendezvous_offer(int end, const struct agent_hello *greeting);

/* Sends one message on a session, with a descriptor or -1. Returns 0 or negative errno; -EPIPE: the
 * other side is gone. @flags as for sendmsg(2). */
int rendezvous_send(int session, const void *message, size_t size, int fd, int flags);

/*
 * Receives the next message. Returns its size or negative errno; -EPIPE: the other side is gone,
 * -EMSGSIZE: the message is longer than @size, or has more than one descriptor. @ret_fd is the
 * caller's; -1: none came, -EMFILE: it could not be opened, because no descriptor is free. No other
 * descriptor stays open, whatever the message has. @flags as for recvmsg(2).
 */
int rendezvous_receive(int session, void *message, size_t size, int *ret_fd, int flags);

#endif
