// SPDX-License-Identifier: Apache-2.0
/* The doctor's search for a firewall that keeps the gateway away. It names each one that may drop
 * or refuse the connection, since all of them have to let it pass. */
#include "doctor/doctor_firewall.h"

#include <stdio.h>
#include <string.h>
#include <linux/netfilter.h>

#include "doctor/doctor_nft.h"
#include "lib/address.h"
#include "lib/util.h"

/* Bytes of a remedy, or of a list. */
#define TEXT_MAX 512

struct search {
	struct doctor *doctor;
	struct doctor_nft nft;
	enum doctor_way way;
	int family; /* AF_INET or AF_INET6 */
	unsigned int port;
	bool found;
};

static void tell(struct search *search, const char *name, const char *remedy)
{
	search->found = true;
	doctor_advise(search->doctor, FINDING_GATEWAY_FIREWALL, remedy,
		      "%s may drop or refuse what comes from the container", name);
}

static void tell_ufw(struct search *search)
{
	struct socket_address gateway = search->doctor->gateway;
	char remedy[TEXT_MAX], text[ADDRESS_TEXT_MAX];
	uint8_t address[16];

	address_from_sockaddr((const struct sockaddr *)&gateway.address, address);
	if (search->way == DOCTOR_WAY_THROUGH)
		(void)snprintf(remedy, sizeof(remedy), "ufw route allow proto tcp to %s port %u",
			       address_format(address, text), search->port);
	else
		(void)snprintf(remedy, sizeof(remedy), "ufw allow %u/tcp", search->port);
	tell(search, "ufw", remedy);
}

/* Tells of a chain of iptables, which has one command for each kind and family. */
static void tell_iptables(struct search *search, const char *chain, bool legacy)
{
	char remedy[TEXT_MAX], name[64];

	(void)snprintf(name, sizeof(name), "the chain %s of iptables", chain);
	(void)snprintf(remedy, sizeof(remedy), "%s%s -I %s -p tcp --dport %u -j ACCEPT",
		       search->family == AF_INET ? "iptables" : "ip6tables",
		       legacy ? "-legacy" : "", chain, search->port);
	tell(search, name, remedy);
}

/* Those of ufw and firewalld have findings of their own. */
static bool has_other_finding(const struct search *search, const struct doctor_chain *chain)
{
	bool filter = chain->family != NFPROTO_INET && strcmp(chain->table, "filter") == 0;

	/* Docker's chain FORWARD has the policy drop, and is opened by DOCKER-USER. */
	return (filter && (search->nft.ufw || search->way == DOCTOR_WAY_THROUGH)) ||
	       (search->nft.firewalld && strcmp(chain->table, "firewalld") == 0);
}

/* A chain that accepts does not keep a later one from dropping. */
static void tell_chain(struct search *search, const struct doctor_chain *chain)
{
	static const unsigned int hooks[] = {
		[DOCTOR_WAY_IN] = 1U << NF_INET_PRE_ROUTING | 1U << NF_INET_LOCAL_IN,
		[DOCTOR_WAY_THROUGH] = 1U << NF_INET_FORWARD,
		[DOCTOR_WAY_OUT] = 1U << NF_INET_LOCAL_OUT | 1U << NF_INET_POST_ROUTING,
		[DOCTOR_WAY_WITHIN] = 1U << NF_INET_LOCAL_OUT | 1U << NF_INET_POST_ROUTING |
				      1U << NF_INET_PRE_ROUTING | 1U << NF_INET_LOCAL_IN,
	};
	char remedy[TEXT_MAX], name[TEXT_MAX];

	if (!doctor_chain_may_drop(chain, search->family, hooks[search->way]) ||
	    has_other_finding(search, chain))
		return;
	if (strcmp(chain->table, "filter") == 0 && strcmp(chain->name, "INPUT") == 0 &&
	    chain->family != NFPROTO_INET) {
		tell_iptables(search, chain->name, false);
		return;
	}
	(void)snprintf(name, sizeof(name), "the chain %s %s %s of nftables",
		       doctor_chains_family(chain->family), chain->table, chain->name);
	(void)snprintf(remedy, sizeof(remedy), "nft insert rule %s %s %s tcp dport %u accept",
		       doctor_chains_family(chain->family), chain->table, chain->name,
		       search->port);
	tell(search, name, remedy);
}

static void tell_legacy(struct search *search, const struct doctor_legacy *legacy)
{
	if (search->way != DOCTOR_WAY_THROUGH && search->way != DOCTOR_WAY_OUT && legacy->drops &&
	    !search->nft.ufw)
		tell_iptables(search, "INPUT", true);
	if (search->way == DOCTOR_WAY_THROUGH && legacy->docker_user)
		tell_iptables(search, "DOCKER-USER", true);
}

bool doctor_check_firewall(struct doctor *doctor, enum doctor_way way)
{
	struct socket_address gateway = doctor->gateway;
	struct search search = {
		.doctor = doctor,
		.way = way,
		.family = gateway.address.ss_family,
		.port = ntohs(*socket_address_port(&gateway)),
	};
	char remedy[TEXT_MAX];
	size_t i;

	doctor_nft_read(&search.nft);
	if (search.nft.ufw)
		tell_ufw(&search);
	if (search.nft.firewalld && way != DOCTOR_WAY_THROUGH) {
		(void)snprintf(remedy, sizeof(remedy),
			       "firewall-cmd --zone=docker --add-port=%u/tcp", search.port);
		tell(&search, "firewalld", remedy);
	}
	if (search.nft.docker_user && way == DOCTOR_WAY_THROUGH)
		tell_iptables(&search, "DOCKER-USER", false);
	for (i = 0; i < search.nft.chains.count; i++)
		tell_chain(&search, &search.nft.chains.items[i]);
	tell_legacy(&search, search.family == AF_INET ? &search.nft.legacy4 : &search.nft.legacy6);
	return search.found;
}
