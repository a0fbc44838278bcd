/* SPDX-License-Identifier: Apache-2.0 */
/* Lists the destinations that no router forwards. */
#ifndef SIDESTEP_LINK_SCOPE_H
#define SIDESTEP_LINK_SCOPE_H

#define LINK_SCOPE_PREFIXES 5

/*
 * Multicast, broadcast and unicast of link scope (RFC 5771 section 4, RFC 919, RFC 4291 sections
 * 2.5.6 and 2.7), for prefix_parse(). 169.254.0.0/16 is not in it, because cloud metadata services
 * have addresses there.
 */
extern const char *const link_scope_prefixes[LINK_SCOPE_PREFIXES];

#endif
