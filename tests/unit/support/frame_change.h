/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the BPF programs on frames that BPF_PROG_TEST_RUN alone cannot make. A small program changes
 * the frame and calls the one under test.
 */
#ifndef SIDESTEP_TESTS_FRAME_CHANGE_H
#define SIDESTEP_TESTS_FRAME_CHANGE_H

#include <stdint.h>

#include "support/programs_run.h"

/* The frame is as it is, but the kernel takes it for @protocol, as with a packet socket that lies.
 * Returns the verdict. */
int run_lying(const char *program, const struct frame *frame, uint16_t protocol);

/* The frame has a tag beside it, as a network card hands it over. Returns the verdict. */
int run_tagged(const char *program, const struct frame *frame, uint16_t type, uint16_t tag);

#endif
