/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of BPF programs: this process loads and attaches them and fills their maps. Links
 * belong to the process and end with it.
 */
#ifndef SIDESTEP_DATAPATH_BPF_H
#define SIDESTEP_DATAPATH_BPF_H

#include "datapath/datapath.h"
#include "programs/programs.h"

struct datapath_bpf_config {
	enum sidestep_mode mode;
	enum programs_way way;
	enum sidestep_udp udp;
	bool inner;	       /* sidecar mode: there may be inner devices */
	bool openers;	       /* sidecar mode: note who opens flows (programs_opener_find()) */
	bool quiet;	       /* do not log that the rights are missing (-EPERM) */
	uint32_t veth_ifindex; /* bridge mode: the host's end */
	int netns_fd;	       /* of the listeners; the caller's, read by datapath_attach() */
	const char *pin;       /* directory below a bpffs for the maps, or NULL */
};

/* Loads the programs. Returns as programs_load() does. */
int datapath_bpf_new(const struct datapath_bpf_config *config, struct datapath **ret_datapath);

#endif
