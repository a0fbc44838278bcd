/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of BPF programs that this process loads, attaches and fills the maps of. Links
 * belong to the process and go with it.
 */
#ifndef SIDESTEP_DATAPATH_BPF_H
#define SIDESTEP_DATAPATH_BPF_H

#include "datapath.h"

enum datapath_attach {
	DATAPATH_ATTACH_AUTO, /* TCX (Linux 6.6), clsact where the kernel lacks it */
	DATAPATH_ATTACH_TCX,
	DATAPATH_ATTACH_CLSACT,
};

struct datapath_bpf_config {
	enum sidestep_mode mode;
	enum datapath_attach attach;
	bool udp_pass;
	uint32_t veth_ifindex; /* bridge mode: the host's end */
	int netns_fd;	 /* where the listeners are; the caller's, read by datapath_attach() */
	const char *pin; /* directory below a bpffs for the maps, or NULL */
};

/* Opens, configures, loads; nothing is attached yet. With @pin: makes the directory and pins the
 * maps there, in place of what a killed predecessor left. Needs CAP_BPF and CAP_NET_ADMIN.
 * Returns 0 or negative errno, logged. */
int datapath_bpf_new(const struct datapath_bpf_config *config, struct datapath **ret_datapath);

#endif
