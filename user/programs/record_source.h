/* SPDX-License-Identifier: Apache-2.0 */
/* Records that the kernel's side of a datapath writes. */
#ifndef SIDESTEP_RECORD_SOURCE_H
#define SIDESTEP_RECORD_SOURCE_H

/* One thread uses it. It is closed before its datapath or its programs are freed. */
struct record_source {
	int fd; /* readable (EPOLLIN) while records wait; the source's */
	/* Hands over the records that wait, whose number is bounded. */
	void (*read)(struct record_source *source, void (*take)(void *context, const void *record),
		     void *context);
	void (*close)(struct record_source *source);
};

#endif
