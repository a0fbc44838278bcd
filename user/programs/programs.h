/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the BPF programs and their maps. programs_attach.h attaches the programs, programs_maps.h
 * fills the maps. include/sidestep.h and docs/MAPS.md describe the maps and a namespace's number.
 * One thread calls these functions, except where one of them says otherwise.
 */
#ifndef SIDESTEP_PROGRAMS_H
#define SIDESTEP_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

struct programs;

enum programs_kind {
	PROGRAMS_SIDECAR, /* sidecar mode for one namespace */
	PROGRAMS_BRIDGE,  /* bridge mode */
	PROGRAMS_SHARED,  /* sidecar mode for any number of namespaces: Linux 6.6 */
};

/* The mechanism that attaches TC programs. */
enum programs_way {
	/* clsact first, which does not wait, then TCX where the kernel has it (Linux 6.6) and links
	 * are wanted. Each TCX attachment waits for an RCU grace period, about 10 ms
	 * (tcx_entry_sync()). */
	PROGRAMS_WAY_AUTO,
	PROGRAMS_WAY_TCX,
	PROGRAMS_WAY_CLSACT,
};

struct programs_config {
	enum programs_kind kind;
	enum programs_way way;
	uint32_t netns;	       /* the namespace that they serve; unused by PROGRAMS_SHARED */
	uint32_t veth_ifindex; /* PROGRAMS_BRIDGE: the host's end */
	bool inner;	       /* PROGRAMS_SIDECAR: also those of inner devices */
	bool openers;	       /* PROGRAMS_SIDECAR: note who opens flows. The agent's always do */
	const char *pin;       /* directory below a bpffs for the maps, or NULL */
	bool adopt;	       /* use the maps that are pinned there, and leave them pinned */
};

/*
 * Opens, configures and loads the programs, and attaches none. With @pin it makes the directory and
 * pins the maps there; unless @adopt, they replace those of a killed predecessor. Needs CAP_BPF and
 * CAP_NET_ADMIN. Returns 0 or a negative errno, which is logged. -EPERM: the rights are missing;
 * not logged if @quiet. -EPROTO: maps of another version are pinned there.
 */
int programs_load(const struct programs_config *config, bool quiet, struct programs **ret_programs);

/*
 * Loads the programs of L3 devices and of inner ones, which few namespaces have, so that a start
 * need not wait for them. PROGRAMS_SIDECAR: call it before the first is attached. It also works
 * when the process has given its rights up, but not in its sandbox. Returns 0 or a negative errno,
 * which is logged the first time.
 */
int programs_await(struct programs *programs);

/* Keeps libbpf from writing to stderr, unless debugging is logged. */
void programs_silence(void);

/* Unpins the maps unless @adopt was set, and frees @programs. Attachments stay. NULL is allowed. */
void programs_free(struct programs *programs);

/* Returns the number of the calling thread's network namespace in *@ret_netns: its cookie, or 1
 * before Linux 5.14. Returns 0 or a negative errno; -EOVERFLOW: the cookie has more than 31 bits.
 */
int programs_netns(uint32_t *ret_netns);

enum programs_program {
	PROGRAM_STEER,
	PROGRAM_LO_EGRESS,
	PROGRAM_LO_INGRESS,
	PROGRAM_DEV_INGRESS,
	PROGRAM_DEV_EGRESS,
	PROGRAM_L3_INGRESS,
	PROGRAM_L3_EGRESS,
	PROGRAM_BRIDGE_INGRESS,
	PROGRAM_BRIDGE_EGRESS,
	PROGRAM_VETH_INGRESS,
	PROGRAM_HOST_INGRESS,
	PROGRAM_HOST_EGRESS,
	PROGRAM_SHUT,
	PROGRAMS,
};

/* The name of a program as bpftool shows it. */
const char *programs_name(enum programs_program program);

/* The program of that name, or PROGRAMS if there is none. */
enum programs_program programs_by_name(const char *name);

#endif
