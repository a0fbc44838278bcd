// SPDX-License-Identifier: Apache-2.0
#include "lib/memory.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Gives back segments that were never writable. Relocated data is in other segments, though it is
 * read-only by now. Takes whole pages only, as a neighbour may begin within the last one. */
static int drop_object(struct dl_phdr_info *info, size_t size, void *context)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t i;

	(void)size;
	(void)context;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start, end;

		if (header->p_type != PT_LOAD || header->p_flags & PF_W)
			continue;
		start = (info->dlpi_addr + header->p_vaddr + page - 1) & ~(page - 1);
		end = (info->dlpi_addr + header->p_vaddr + header->p_memsz) & ~(page - 1);
		if (start < end)
			/* NOLINTNEXTLINE(performance-no-int-to-ptr): the linker reports numbers */
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void memory_trim(void)
{
	(void)malloc_trim(0);
	(void)dl_iterate_phdr(drop_object, NULL);
}
