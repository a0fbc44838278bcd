// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_threads.h"

#include <limits.h>

#include "lib/log.h"
#include "lib/process.h"
#include "lib/processors.h"
#include "proxy/proxy.h"

/* More threads cost memory and sockets. A gateway that needs them is rare, so the user asks. */
#define THREADS_UNASKED 8

static unsigned int threads_wanted(unsigned int asked, unsigned int processors)
{
	if (asked)
		return asked;
	return processors < THREADS_UNASKED ? processors : THREADS_UNASKED;
}

unsigned int sidecar_threads_choose(unsigned int asked, unsigned int processors,
				    unsigned long descriptors)
{
	unsigned int wanted = threads_wanted(asked, processors);
	unsigned long fit = descriptors / 2 / PROXY_THREAD_DESCRIPTORS;

	if (fit < 1)
		return 1;
	return wanted < fit ? wanted : (unsigned int)fit;
}

unsigned int sidecar_threads(unsigned int asked)
{
	unsigned int processors = processors_usable();
	unsigned long descriptors = process_file_limit();
	unsigned int threads = sidecar_threads_choose(asked, processors, descriptors);
	unsigned int wanted = threads_wanted(asked, processors);

	if (threads < wanted)
		log_warning("%u proxy threads run, because %u would take most of the %lu files "
			    "that may be open (docker run --ulimit nofile=...)",
			    threads, wanted, descriptors);
	return threads;
}
