// SPDX-License-Identifier: Apache-2.0
#include "lib/version.h"

#include <gnu/libc-version.h>
#include <llhttp.h>

#include "lib/built.h"
#include "lib/util.h"
#include "sidestep.h"

#define TEXT(number)  #number
#define VALUE(number) TEXT(number)

#define LLHTTP_VERSION                                                                             \
	VALUE(LLHTTP_VERSION_MAJOR) "." VALUE(LLHTTP_VERSION_MINOR) "." VALUE(LLHTTP_VERSION_PATCH)

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

/* The agent and its sidecars must have the same. */
#define MAPS ("maps-version=" VALUE(SIDESTEP_ABI_VERSION))

static const char *const features[] = {
	"bpf",	     "agent",	      "nft",	 "nft-redirect", "bridge",
	"dns",	     "tls-intercept", "seccomp", "landlock",	 MAPS,
#ifdef __SANITIZE_ADDRESS__
	"sanitized",
#endif
};

void version_print(FILE *stream)
{
	size_t i;

	(void)fprintf(stream, "sidestep %s%s\n", SIDESTEP_VERSION,
		      *SIDESTEP_COMMIT ? " (" SIDESTEP_COMMIT ")" : "");
	/* The Makefile's text ends with a comma, or is empty. */
	(void)fprintf(stream, "Libraries: %sllhttp %s, glibc %s\nFeatures:", SIDESTEP_LIBRARIES,
		      LLHTTP_VERSION, gnu_get_libc_version());
	for (i = 0; i < ARRAY_SIZE(features); i++)
		(void)fprintf(stream, " %s", features[i]);
	(void)fprintf(stream, "\nCompiler: %s\n", COMPILER);
}
