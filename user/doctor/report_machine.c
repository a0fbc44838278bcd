// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_machine.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "lib/util.h"

/* The end of a log that is kept, bytes. */
#define LOG_MAX (1L << 20)

/* Options and modules that steering depends on begin so. */
static const char *const options[] = {
	"CONFIG_BPF",	      "CONFIG_CGROUP_BPF",    "CONFIG_DEBUG_INFO_BTF", "CONFIG_NET_CLS",
	"CONFIG_NET_SCH_ING", "CONFIG_NETFILTER_",    "CONFIG_NFT_",	       "CONFIG_NF_",
	"CONFIG_BRIDGE_NET",  "CONFIG_INET_DIAG",     "CONFIG_INET_TCP_DIAG",  "CONFIG_VETH",
	"CONFIG_TUN=",	      "CONFIG_SECURITY_LAND", "CONFIG_SECCOMP",	       "CONFIG_IPV6=",
};
static const char *const modules[] = {"nf",   "nft",	  "br_netfilter", "bridge",   "veth",
				      "tun",  "tcp_diag", "inet_diag",	  "sch_ingr", "cls_bpf",
				      "ip_t", "iptable_", "ip6_t",	  "xt_",      "wireguard"};
static const char *const settings[] = {
	"kernel/unprivileged_bpf_disabled", "net/core/bpf_jit_enable",
	"net/core/bpf_jit_harden",	    "net/ipv4/ip_forward",
	"net/ipv4/ip_local_port_range",	    "net/ipv4/conf/all/rp_filter",
	"net/ipv6/conf/all/disable_ipv6",   "net/bridge/bridge-nf-call-iptables",
	"net/netfilter/nf_conntrack_max",   "net/netfilter/nf_conntrack_count",
	"user/max_net_namespaces",
};

static bool begins_with_any(const char *line, const char *const *beginnings, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/* The running kernel has it compressed, or its package has it in plain text. gzopen(3) reads both.
 */
static void add_options(FILE *file, const char *release)
{
	char path[256], line[512];
	gzFile config = gzopen("/proc/config.gz", "re");

	(void)snprintf(path, sizeof(path), "/boot/config-%s", release);
	if (!config)
		config = gzopen(path, "re");
	if (!config) {
		(void)fprintf(file, "neither /proc/config.gz nor %s is there\n", path);
		return;
	}
	while (gzgets(config, line, sizeof(line)))
		if (begins_with_any(line, options, ARRAY_SIZE(options)))
			(void)fputs(line, file);
	(void)gzclose(config);
}

static void add_modules(FILE *file)
{
	_cleanup_fclose_ FILE *list = fopen("/proc/modules", "re");
	char line[512];

	while (list && fgets(line, sizeof(line), list))
		if (begins_with_any(line, modules, ARRAY_SIZE(modules)))
			(void)fprintf(file, "%.*s\n", (int)strcspn(line, " "), line);
}

static void add_setting(FILE *file, const char *name)
{
	_cleanup_fclose_ FILE *value = NULL;
	char path[256], line[256] = "not there\n";

	(void)snprintf(path, sizeof(path), "/proc/sys/%s", name);
	value = fopen(path, "re");
	if (value && !fgets(line, sizeof(line), value))
		line[0] = '\0';
	(void)fprintf(file, "%s %s", name, line);
}

void report_machine(struct report_archive *archive)
{
	struct utsname name = {.release = "?"};
	char *text = NULL;
	size_t size, i;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return;
	(void)uname(&name);
	(void)fprintf(file, "%s %s %s %s\n\nConfiguration\n", name.sysname, name.release,
		      name.version, name.machine);
	add_options(file, name.release);
	(void)fprintf(file, "\nModules\n");
	add_modules(file);
	(void)fprintf(file, "\nSettings\n");
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		add_setting(file, settings[i]);
	if (fclose(file) == 0)
		report_archive_text(archive, "kernel.txt", text, size);
	free(text);
}

int report_log(struct report_archive *archive, const char *path, const char *name)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *text = malloc(LOG_MAX);
	const char *begin = text;
	size_t size;

	if (!file)
		return -errno;
	if (!text)
		return -ENOMEM;
	/* A line whose beginning is left out could have a secret that is not recognised. A pipe, or
	 * a shorter file, is read from its beginning. */
	if (fseek(file, -LOG_MAX, SEEK_END) == 0)
		begin = NULL;
	size = fread(text, 1, LOG_MAX, file);
	if (!begin)
		begin = memchr(text, '\n', size);
	if (begin)
		report_archive_text(archive, name, begin, size - (size_t)(begin - text));
	return 0;
}
