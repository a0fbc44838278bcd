// SPDX-License-Identifier: Apache-2.0
/* The doctor's checks of the kernel: BPF, the bpffs and nftables. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <linux/magic.h>

#include "datapath/datapath_nft.h"
#include "doctor/doctor.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/bpffs.h"
#include "sidestep.h"

/* Linux 6.6; libbpf 1.1 does not name it. */
#define ATTACH_TCX_INGRESS 46

/* Bytes of a remedy. */
#define REMEDY_MAX 512

void doctor_check_kernel(struct doctor *doctor)
{
	unsigned int count = 0;
	struct utsname name;
	int lookup;

	if (uname(&name) == 0)
		doctor_tell(doctor, FINDING_KERNEL, "Linux %s (%s)", name.release, name.machine);
	if (!doctor->bpf)
		return;
	programs_silence();
	lookup = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL);
	if (lookup == 1)
		doctor_tell(doctor, FINDING_SK_LOOKUP, "available");
	else
		doctor_tell(doctor, FINDING_SK_LOOKUP_MISSING, "%s",
			    lookup < 0 ? strerror(-lookup) : "the kernel lacks it");
	if (bpf_prog_query(LOOPBACK_IFINDEX, (enum bpf_attach_type)ATTACH_TCX_INGRESS, 0, NULL,
			   NULL, &count) == 0)
		doctor_tell(doctor, FINDING_TCX, "available");
	else
		doctor_tell(doctor, FINDING_TCX_MISSING, "not available (%s)", strerror(errno));
}

/* Has the verifier judge what a sidecar, bridge mode or the agent would load. */
void doctor_check_programs(struct doctor *doctor)
{
	struct programs_config config = {.kind = doctor->kind, .inner = true};
	struct programs *programs = NULL;
	int error;

	if (!doctor->bpf)
		return;
	error = programs_netns(&config.netns);
	if (error == 0)
		error = programs_load(&config, true, &programs);
	if (error < 0 || !programs) {
		doctor_tell(doctor, FINDING_PROGRAMS_REFUSED, "the kernel refuses them: %s",
			    strerror(-error));
		return;
	}
	error = programs_await(programs);
	if (error < 0)
		doctor_tell(doctor, FINDING_PROGRAMS_REFUSED,
			    "the kernel refuses those of L3 and inner devices: %s",
			    strerror(-error));
	else
		doctor_tell(doctor, FINDING_PROGRAMS, "the kernel takes them");
	programs_free(programs);
}

/* The agent keeps its maps there, and so does a sidecar with --pin. */
void doctor_check_bpffs(struct doctor *doctor)
{
	if (!doctor->bpf || !netns_is_initial())
		return;
	if (bpffs_is(BPFFS_USUAL_PLACE))
		doctor_tell(doctor, FINDING_BPFFS, "mounted at " BPFFS_USUAL_PLACE);
	else if (doctor->options->fix && bpffs_mount() == 0)
		doctor_tell(doctor, FINDING_BPFFS_FIXED, "mounted at " BPFFS_USUAL_PLACE " now");
	else
		doctor_tell(doctor, FINDING_BPFFS_UNMOUNTED, "not mounted at " BPFFS_USUAL_PLACE);
}

/* The parts that the table does without. Own programs do not need it. */
static void check_parts(struct doctor *doctor, const struct datapath_nft_finding *found)
{
	const struct {
		bool missing;
		enum finding_id id;
		const char *name;
	} parts[] = {
		{found->redirect, FINDING_NFT_TPROXY, "nft_tproxy, CONFIG_NFT_TPROXY"},
		{found->no_timeouts, FINDING_NFT_TIMEOUTS, "CONFIG_NF_CONNTRACK_TIMEOUT"},
		{found->no_reject, FINDING_NFT_REJECT, "nft_reject_inet, CONFIG_NFT_REJECT_INET"},
		{found->no_socket, FINDING_NFT_SOCKET, "nft_socket, CONFIG_NFT_SOCKET"},
		{found->no_egress, FINDING_NFT_EGRESS, "Linux 5.16, CONFIG_NETFILTER_EGRESS"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].missing && doctor->bpf)
			doctor_tell(doctor, FINDING_NFT_PARTS,
				    "missing (%s), which only a table would need", parts[i].name);
		else if (parts[i].missing)
			doctor_tell(doctor, parts[i].id, "missing (%s)", parts[i].name);
}

void doctor_check_nftables(struct doctor *doctor)
{
	struct datapath_nft_finding found;
	const struct nft_failure *failure = &found.failure;
	int error = datapath_nft_try(&found);
	char remedy[REMEDY_MAX];

	if (error == 0) {
		doctor_tell(doctor, FINDING_NFTABLES, "the kernel takes the sidecar's table");
		check_parts(doctor, &found);
		return;
	}
	(void)snprintf(remedy, sizeof(remedy), "give CAP_NET_ADMIN, and load %s on the host%s",
		       failure->needs ? failure->needs : "nf_tables (modprobe nf_tables)",
		       doctor->bpf ? "" : ", or start the host's agent (sidestep agent)");
	doctor_advise(doctor, doctor->bpf ? FINDING_NFTABLES_SPARE : FINDING_NFTABLES_REFUSED,
		      remedy, "the kernel refuses %s: %s",
		      *failure->object ? failure->object : "a socket", strerror(-error));
}
