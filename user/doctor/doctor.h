/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the files of `sidestep doctor`: what they know, and how they tell what they find. */
#ifndef SIDESTEP_DOCTOR_H
#define SIDESTEP_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "doctor/doctor_options.h"
#include "doctor/finding.h"
#include "lib/array.h"
#include "lib/json.h"
#include "lib/socket_address.h"
#include "programs/programs.h"

struct doctor {
	const struct doctor_options *options;
	json_t *found;		 /* the findings so far */
	bool prints;		 /* each is printed at once */
	char place[64];		 /* the network namespace that is checked; "": this one */
	enum programs_kind kind; /* of the programs that would be loaded */
	pid_t process;		 /* is in the namespace to check; 0: this one */
	int outside_fd;		 /* this process's own namespace, if another one is checked */
	struct array outside; /* struct netlink_link: the links of this process's own namespace, if
			       * another one is checked */
	bool sees_host;	      /* that is the machine's own, or a container engine's */
	int error;	      /* of the gateway's check: 0 or negative errno */
	struct socket_address gateway;
	bool reached; /* the gateway accepts connections */
	bool bpf;     /* this process can load BPF programs */
	bool failed;
	bool gateway_failed;
};

/* Tell of a finding. The second one has a remedy of its own, and the table has none. */
void doctor_tell(struct doctor *doctor, enum finding_id id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void doctor_advise(struct doctor *doctor, enum finding_id id, const char *remedy,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Returns the values of a file in /proc/sys/net, or -1 for each that it does not have. */
void doctor_read_settings(const char *name, int *ret_first, int *ret_second);
int doctor_read_setting(const char *name);

/* Adds the links of the calling thread's network namespace (struct netlink_link) to @links. Returns
 * 0 or a negative errno. */
int doctor_read_links(struct array *links);

/* Opens a file of the application's, or of this process without one. Links in it lead nowhere else.
 * Returns NULL if it is no regular file. */
FILE *doctor_open_file(const struct doctor *doctor, const char *path);

/* Each checks one subject; docs/DOCTOR.md has them. Those of a gateway do nothing unless it was
 * reached. */
void doctor_check_namespace(struct doctor *doctor);
void doctor_check_way_out(struct doctor *doctor);
void doctor_check_mtu(struct doctor *doctor);
void doctor_check_rules(struct doctor *doctor);
void doctor_check_veths(struct doctor *doctor);
void doctor_check_loop(struct doctor *doctor);
void doctor_check_settings(struct doctor *doctor);
void doctor_check_inner(struct doctor *doctor);
void doctor_check_instance(struct doctor *doctor);
void doctor_check_ports(struct doctor *doctor);
void doctor_check_files(struct doctor *doctor);
void doctor_check_resolver(struct doctor *doctor);
void doctor_check_rights(struct doctor *doctor);
void doctor_check_bpf(struct doctor *doctor);
void doctor_check_calls(struct doctor *doctor);
void doctor_check_kernel(struct doctor *doctor);
void doctor_check_programs(struct doctor *doctor);
void doctor_check_bpffs(struct doctor *doctor);
void doctor_check_nftables(struct doctor *doctor);
void doctor_check_engine(struct doctor *doctor);
void doctor_check_bridges(struct doctor *doctor);
void doctor_check_agent(struct doctor *doctor);
void doctor_check_owners(struct doctor *doctor);
void doctor_check_pins(struct doctor *doctor);
void doctor_check_clock(struct doctor *doctor);
void doctor_check_ca(struct doctor *doctor);

/* The gateway could not be reached: looks for the cause where its address is. */
void doctor_explain_gateway(struct doctor *doctor);

/* Returns 0, or -EINVAL if the command line names no gateway that can be read, logged. */
int doctor_check_gateway(struct doctor *doctor);

#endif
