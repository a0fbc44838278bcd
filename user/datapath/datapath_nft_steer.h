/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How packets that stay in the namespace reach the proxy's listeners. tproxy gives them to a socket
 * as they are. Where the kernel lacks it, NAT redirects connections, and the port of a DNS query is
 * rewritten.
 *
 * Redirected connections live by conntrack's memory. The listener sees its own address, and asks
 * conntrack for the destination (user/proxy/destination.h). A DNS query keeps its address, so its
 * listener has the wildcard address. Packets that reach these listeners in another way are dropped.
 */
#ifndef SIDESTEP_DATAPATH_NFT_STEER_H
#define SIDESTEP_DATAPATH_NFT_STEER_H

#include "datapath/datapath_nft_input.h"
#include "datapath/datapath_nft_table.h"

/* Adds the chains. */
void nft_steer_add_chains(const struct nft_table *table, const struct nft_rules *rules);

/* Adds their rules. Chain "to_proxy" gets the packets from lo that are steered. */
void nft_steer_add_rules(const struct nft_table *table, const struct nft_rules *rules);

/* Adds the rules by which chain @chain gives packets to the proxy. tproxy takes the connection's
 * socket, or the listener. Without either it does not match. */
void nft_steer_add_tproxy(const struct nft_table *table, const struct nft_rules *rules,
			  const char *chain);

/* Adds a table in place of one that is there. It steers nothing, and connections that were
 * redirected before go on. */
void nft_steer_add_retired(struct nft_batch *batch, const struct nft_rules *rules);

/* Adds and removes a table of family ip in which the kernel must know tproxy. No packet passes it.
 */
void nft_steer_add_trial(struct nft_batch *batch);

#endif
