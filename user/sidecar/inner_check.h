/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the inner devices of this network namespace (steering/plan_inner.h) for `sidestep doctor`.
 */
#ifndef SIDESTEP_INNER_CHECK_H
#define SIDESTEP_INNER_CHECK_H

/* Bytes of a list of names. */
#define INNER_CHECK_MAX 256

/* Names with blanks between them, or "". Names that do not fit are left out. */
struct inner_check {
	char steered[INNER_CHECK_MAX]; /* by the sidecar that runs */
	char others[INNER_CHECK_MAX];
	/* Veths that lead to other namespaces without a bridge, beside a way out. A sidecar takes
	 * them for ways out, unless it was there before them. */
	char direct[INNER_CHECK_MAX];
};

/* Returns 0 or a negative errno, logged. */
int inner_check(struct inner_check *ret_check);

#endif
