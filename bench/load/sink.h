/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SINK_H
#define BENCH_SINK_H

/*
 * Steers the namespace's connections to the outside to @listener, with Sidestep's own datapath
 * and routes and without its proxy. @listener is a transparent TCP socket, @lo_listener likewise
 * and bound to lo. steer.c alone knows the product's interfaces.
 *
 * @how: "bpf" or "nft" (the sidecar's datapaths), or "bridge:NAME". @prefixes are further subnets
 * to bypass ("10.0.0.0/8"). Ends the process with a message if it fails. If @how wants the
 * listener in another namespace than the caller's, steer_enter() moves the thread there first,
 * and steer_leave() moves it back.
 */
struct steer;

struct steer *steer_new(const char *how, const char *pin);
void steer_enter(struct steer *steer);
void steer_leave(struct steer *steer);
void steer_start(struct steer *steer, int listener, int lo_listener, const char *const *prefixes,
		 unsigned int prefix_count);
/* The descriptor of netlink events that call for steer_sync(), or -1. */
int steer_fd(const struct steer *steer);
void steer_sync(struct steer *steer);
/* Removes routes, rules and programs. */
void steer_stop(struct steer *steer);

#endif
