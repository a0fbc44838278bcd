/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the maps of the BPF programs. Functions with a result return 0 or a negative errno. One
 * thread calls them, except programs_own_socket(), programs_opener_find() and the programs_flow_
 * functions, which any thread may call.
 */
#ifndef SIDESTEP_PROGRAMS_MAPS_H
#define SIDESTEP_PROGRAMS_MAPS_H

#include <stdint.h>

#include "lib/address.h"
#include "programs/programs.h"
#include "sidestep.h"

/* Registers a namespace or changes its entry. The counters of a new one start at 0. */
int programs_namespace_set(const struct programs *programs, uint32_t netns,
			   const struct sidestep_namespace *value);

/* Deletes all entries of a namespace from the maps, except `inbound`, whose LRU drops them. */
void programs_namespace_remove(const struct programs *programs, uint32_t netns);

/* Set and delete the entry of a host's device @ifindex in `outer`. */
int programs_outer_set(const struct programs *programs, uint32_t ifindex,
		       const struct sidestep_outer *value);
void programs_outer_remove(const struct programs *programs, uint32_t ifindex);

/* Puts the socket @fd, which stays the caller's, into a slot of `listeners`. The programs take the
 * sockets that it accepts for the proxy's. */
int programs_listener_set(const struct programs *programs, uint32_t netns,
			  enum sidestep_listener slot, int fd);

/* Set and delete an entry of `bypass4` or `bypass6`. A missing entry is no error. */
int programs_bypass_set(const struct programs *programs, uint32_t netns,
			const struct prefix *prefix, const struct sidestep_bypass *value);
int programs_bypass_remove(const struct programs *programs, uint32_t netns,
			   const struct prefix *prefix);

/* Calls @visit with each entry of a namespace in `bypass4` and `bypass6`. */
void programs_bypass_each(const struct programs *programs, uint32_t netns,
			  void (*visit)(void *context, const struct prefix *prefix,
					const struct sidestep_bypass *value),
			  void *context);

/* Set and delete an entry of `route4` or `route6`, or with a @source that is not all zero of
 * `source_route4` or `source_route6`. A missing entry is no error. @source and @value's gateway are
 * in the form of lib/address.h. */
int programs_route_set(const struct programs *programs, uint32_t netns, const uint8_t source[16],
		       const struct prefix *prefix, const struct sidestep_route *value);
int programs_route_remove(const struct programs *programs, uint32_t netns, const uint8_t source[16],
			  const struct prefix *prefix);

/* Reads the route to an address: of packets from @source in `source_route4` or `source_route6`, or
 * with NULL of all in `route4` or `route6`. -ENOENT: there is none. An IPv4 gateway is in the first
 * 4 bytes. */
int programs_route_get(const struct programs *programs, uint32_t netns, const uint8_t *source,
		       const uint8_t destination[16], struct sidestep_route *ret_route);

/* Adds a flow to `inbound`. @key's netns is ignored. */
int programs_inbound_add(const struct programs *programs, uint32_t netns,
			 const struct sidestep_flow_key *key);

/* Marks the socket @fd as the proxy's. A transparent one is a DNS listener: it sends answers from
 * addresses that are not its own, and they stay in the namespace. @dials: it is none, which need
 * not be looked up. */
int programs_own_socket(const struct programs *programs, int fd, bool dials);

/* Lists or updates a live flow. @key's netns is ignored. */
void programs_flow_update(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key, const struct sidestep_flow *value);
void programs_flow_remove(const struct programs *programs, uint32_t netns,
			  const struct sidestep_flow_key *key);

/* Finds who opened a flow. @key's netns is ignored. Own programs forget it soon: ask when the flow
 * is accepted. Returns 0, or a negative errno; -ENOENT: it is not known, or no longer. */
int programs_opener_find(const struct programs *programs, uint32_t netns,
			 const struct sidestep_flow_key *key, struct sidestep_process *ret_opener);

#endif
