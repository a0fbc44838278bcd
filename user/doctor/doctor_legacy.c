// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor_legacy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "lib/util.h"

/* The two families differ in these numbers and in the entries' heads alone. */
static const struct layout {
	int level, get_info, get_entries;
	size_t entry_size, target_offset, next_offset; /* of an entry */
} layouts[] = {
	{IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, sizeof(struct ipt_entry),
	 offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset)},
	{IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES, sizeof(struct ip6t_entry),
	 offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset)},
};

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		       offsetof(struct ipt_get_entries, entrytable) ==
			       offsetof(struct ip6t_get_entries, entrytable),
	       "the rest is the same");

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* The table's entries: @size bytes, which the kernel has checked. */
struct entries {
	const struct layout *layout;
	const char *bytes;
	uint32_t size;
	uint32_t input_at, input_end; /* the chain INPUT; the latter is its policy's place */
	const char *chain;	      /* that is being looked at; "": a built-in one */
	bool jumps;		      /* INPUT does */
	bool chain_drops;	      /* a user's chain does */
};

static const struct xt_entry_target *target_at(const struct entries *entries, uint32_t at,
					       uint16_t *ret_next)
{
	uint16_t offset;

	if (entries->size < entries->layout->entry_size ||
	    at > entries->size - entries->layout->entry_size)
		return NULL;
	memcpy(&offset, entries->bytes + at + entries->layout->target_offset, sizeof(offset));
	memcpy(ret_next, entries->bytes + at + entries->layout->next_offset, sizeof(*ret_next));
	if (*ret_next > entries->size - at || offset > *ret_next ||
	    *ret_next - offset < (int)sizeof(struct xt_entry_target))
		return NULL;
	return (const struct xt_entry_target *)(entries->bytes + at + offset);
}

/* Notes what a rule, or the policy of INPUT, does to packets for this machine. */
static void look_for_drops(struct entries *entries, uint32_t at,
			   const struct xt_entry_target *target, struct doctor_legacy *found)
{
	bool standard = target->u.user.name[0] == '\0';
	int verdict = standard ? ((const struct xt_standard_target *)target)->verdict : 0;
	bool drops = standard ? verdict == -NF_DROP - 1
			      : strcmp(target->u.user.name, "REJECT") == 0;

	if (at >= entries->input_at && at <= entries->input_end) {
		found->drops |= drops;
		/* A positive verdict is the place of a chain, or of the next rule. */
		entries->jumps |= standard && verdict >= 0;
	} else if (entries->chain[0]) {
		entries->chain_drops |= drops;
	}
}

/* Each user's chain begins with the target ERROR, which has its name, and ends with RETURN. So does
 * the table itself. */
static void look_at(struct entries *entries, uint32_t at, const struct xt_entry_target *target,
		    struct doctor_legacy *found)
{
	const char *name = target->u.user.name;

	if (strcmp(name, XT_ERROR_TARGET) == 0) {
		entries->chain = ((const struct xt_error_target *)target)->errorname;
		found->ufw |= begins(entries->chain, "ufw-");
		return;
	}
	look_for_drops(entries, at, target, found);
	found->takes |= strcmp(name, "TPROXY") == 0 || strcmp(name, "REDIRECT") == 0;
	found->docker_user |= strcmp(entries->chain, "DOCKER-USER") == 0 &&
			      (name[0] ||
			       ((const struct xt_standard_target *)target)->verdict != XT_RETURN);
}

int doctor_legacy_read(sa_family_t family, const char *name, struct doctor_legacy *found)
{
	const struct layout *layout = &layouts[family == AF_INET6];
	_cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_cleanup_free_ struct ipt_get_entries *table = NULL;
	struct entries entries = {.layout = layout, .chain = "", .input_at = UINT32_MAX};
	struct ipt_getinfo info = {.name = ""};
	const struct xt_entry_target *target;
	socklen_t size = sizeof(info);
	uint16_t next;
	uint32_t at;

	if (fd < 0)
		return -errno;
	(void)strncpy(info.name, name, sizeof(info.name) - 1);
	if (getsockopt(fd, layout->level, layout->get_info, &info, &size) < 0)
		return -errno;
	size = (socklen_t)(sizeof(*table) + info.size);
	table = calloc(1, size);
	if (!table)
		return -ENOMEM;
	(void)strncpy(table->name, name, sizeof(table->name) - 1);
	table->size = info.size;
	if (getsockopt(fd, layout->level, layout->get_entries, table, &size) < 0)
		return -errno;
	entries.bytes = (const char *)table->entrytable;
	entries.size = info.size;
	if (strcmp(name, "filter") == 0) {
		entries.input_at = info.hook_entry[NF_INET_LOCAL_IN];
		entries.input_end = info.underflow[NF_INET_LOCAL_IN];
	}
	for (at = 0; (target = target_at(&entries, at, &next)); at += next)
		look_at(&entries, at, target, found);
	found->drops |= entries.jumps && entries.chain_drops;
	return 0;
}
