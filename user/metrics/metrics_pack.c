// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_pack.h"

#include <stdlib.h>
#include <string.h>

/* Comes first. */
struct head {
	uint64_t count, series, dropped;
};

/* A sample. The texts of its labels follow, each with its NUL. */
struct record {
	uint32_t name;	 /* enum metrics_name */
	uint32_t labels; /* which ones it has, a bit for each */
	double value;
	uint64_t counts[METRICS_BOUNDS + 1];
};

static void pack_sample(FILE *stream, const struct metrics_sample *sample)
{
	struct record record = {.name = sample->name, .value = sample->value};
	size_t i;

	memcpy(record.counts, sample->counts, sizeof(record.counts));
	for (i = 0; i < METRICS_LABELS_MAX; i++)
		record.labels |= sample->labels[i] ? 1U << i : 0;
	(void)fwrite(&record, sizeof(record), 1, stream);
	for (i = 0; i < METRICS_LABELS_MAX; i++)
		if (sample->labels[i])
			(void)fwrite(sample->labels[i], strlen(sample->labels[i]) + 1, 1, stream);
}

void metrics_pack(FILE *stream, const struct metrics_set *set)
{
	const struct head head = {set->count, set->series, set->dropped};
	size_t i;

	(void)fwrite(&head, sizeof(head), 1, stream);
	for (i = 0; i < set->count; i++)
		pack_sample(stream, &set->samples[i]);
}

static bool unpack_sample(FILE *stream, struct metrics_sample *sample)
{
	struct record record;
	size_t i;

	if (fread(&record, sizeof(record), 1, stream) != 1 || record.name >= METRICS_FAMILIES)
		return false;
	sample->name = (enum metrics_name)record.name;
	sample->value = record.value;
	memcpy(sample->counts, record.counts, sizeof(sample->counts));
	for (i = 0; i < METRICS_LABELS_MAX; i++) {
		size_t room = 0;

		if ((record.labels & 1U << i) &&
		    getdelim(&sample->labels[i], &room, '\0', stream) <= 0)
			return false;
	}
	return true;
}

bool metrics_unpack(FILE *stream, struct metrics_set *set)
{
	struct head head;
	size_t i;

	if (fread(&head, sizeof(head), 1, stream) != 1 || head.count > METRICS_SERIES_MAX ||
	    head.series > METRICS_SERIES_MAX)
		return false;
	set->samples = calloc(head.count + 1, sizeof(*set->samples));
	if (!set->samples)
		return false;
	set->capacity = head.count + 1;
	set->series = head.series;
	set->dropped = head.dropped;
	for (i = 0; i < head.count; i++) {
		set->count++;
		if (!unpack_sample(stream, &set->samples[i]))
			return false;
	}
	return true;
}
