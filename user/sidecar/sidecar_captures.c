// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_captures.h"

#include <stddef.h>

#include "capture/capture_source.h"

int sidecar_captures_start(struct sidecar *sidecar)
{
	if (sidecar->options->tls_intercept)
		(void)capture_source_new(&sidecar->captures);
	return 0;
}

void sidecar_captures_stop(struct sidecar *sidecar)
{
	capture_source_free(sidecar->captures);
	sidecar->captures = NULL;
}

const struct tls_tap *sidecar_captures_tap(const struct sidecar *sidecar)
{
	return sidecar->captures ? capture_source_tap(sidecar->captures) : NULL;
}

const char *sidecar_captures_path(const struct sidecar *sidecar)
{
	return sidecar->captures ? capture_source_path(sidecar->captures) : NULL;
}
