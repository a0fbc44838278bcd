/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the files of `sidestep doctor`. */
#ifndef SIDESTEP_DOCTOR_H
#define SIDESTEP_DOCTOR_H

#include <stdbool.h>

#include "lib/socket_address.h"
#include "sidecar/sidecar_options.h"

enum doctor_finding {
	DOCTOR_OK,
	DOCTOR_WARNING,
	DOCTOR_FAILED,
};

struct doctor {
	struct sidecar_options options; /* only the gateway's */
	struct socket_address gateway;
	bool reached; /* the gateway accepts connections */
	bool bpf;     /* this process can load BPF programs */
	bool failed;
	bool gateway_failed;
};

/* Prints a line: "FINDING SUBJECT: DETAIL; REMEDY". Scripts may rely on the subject. */
void doctor_tell(struct doctor *doctor, enum doctor_finding finding, const char *subject,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Returns the values of a file in /proc/sys/net, or -1 for each that it does not have. */
void doctor_read_settings(const char *name, int *ret_first, int *ret_second);

/* Each checks one subject; docs/OPTIONS.md has them. Those of a gateway do nothing unless it was
 * reached. */
void doctor_check_way_out(struct doctor *doctor);
void doctor_check_mtu(struct doctor *doctor);
void doctor_check_rules(struct doctor *doctor);
void doctor_check_loop(struct doctor *doctor);
void doctor_check_inner(struct doctor *doctor);
void doctor_check_ports(struct doctor *doctor);
void doctor_check_resolver(struct doctor *doctor);

#endif
