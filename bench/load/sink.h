/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SINK_H
#define BENCH_SINK_H

/*
 * Makes the kernel hand @listener (a transparent TCP socket; @lo_listener: likewise, bound to lo)
 * what the namespace sends to the outside, with Sidestep's own datapath and routes: steering alone,
 * no proxy. The one file of the harness that knows the product's interfaces.
 *
 * @how: "bpf" or "nft" (the sidecar's datapaths), or "bridge:NAME". @prefixes are further subnets
 * to bypass ("10.0.0.0/8"). Ends the process with a message when it cannot. Where @how wants the
 * listener elsewhere than in the caller's namespace, steer_enter() moves the thread there before
 * the listener is made, and steer_leave() back.
 */
struct steer;

struct steer *steer_new(const char *how, const char *pin);
void steer_enter(struct steer *steer);
void steer_leave(struct steer *steer);
void steer_start(struct steer *steer, int listener, int lo_listener, const char *const *prefixes,
		 unsigned int prefix_count);
/* Netlink events that call for steer_sync(); -1: none. */
int steer_fd(const struct steer *steer);
void steer_sync(struct steer *steer);
/* Takes routes, rules and programs back. */
void steer_stop(struct steer *steer);

#endif
