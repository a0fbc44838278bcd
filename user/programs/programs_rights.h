/* SPDX-License-Identifier: Apache-2.0 */
/* The rights that a load of the BPF programs takes. */
#ifndef SIDESTEP_PROGRAMS_RIGHTS_H
#define SIDESTEP_PROGRAMS_RIGHTS_H

#include <stdbool.h>

/* Raises RLIMIT_MEMLOCK, which maps are charged to before Linux 5.11, if it may. */
void programs_rights_raise(void);

/* Logs why a load failed with @error, a negative errno, of programs that want Linux @version
 * ("6.6"). Returns @error, or -EPERM where a right is missing. @quiet: see programs_load(). */
int programs_rights_complain(int error, const char *version, bool quiet);

#endif
