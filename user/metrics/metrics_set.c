// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_set.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Room for the first samples. */
#define CAPACITY_MIN 64

static bool make_room(struct metrics_set *set)
{
	size_t capacity = set->capacity ? 2 * set->capacity : CAPACITY_MIN;
	struct metrics_sample *samples;

	if (set->count < set->capacity)
		return true;
	samples = realloc(set->samples, capacity * sizeof(*samples));
	if (!samples)
		return false;
	set->samples = samples;
	set->capacity = capacity;
	return true;
}

static void free_labels(struct metrics_sample *sample)
{
	size_t i;

	for (i = 0; i < METRICS_LABELS_MAX; i++)
		free(sample->labels[i]);
}

static bool copy_labels(struct metrics_sample *sample, const char *const *labels)
{
	const struct metrics_family *family = &metrics_families[sample->name];
	size_t i;

	for (i = 0; labels && i < METRICS_LABELS_MAX && family->labels[i]; i++) {
		if (!labels[i])
			continue;
		sample->labels[i] = strdup(labels[i]);
		if (!sample->labels[i]) {
			free_labels(sample);
			return false;
		}
	}
	return true;
}

/* Returns a new sample of @series series, or NULL: they are counted as dropped. One series is left
 * for their number. */
static struct metrics_sample *add(struct metrics_set *set, enum metrics_name name,
				  const char *const *labels, size_t series)
{
	struct metrics_sample sample = {.name = name};

	if (set->series + series > METRICS_SERIES_MAX - 1 || !make_room(set) ||
	    !copy_labels(&sample, labels)) {
		set->dropped += series;
		return NULL;
	}
	set->series += series;
	set->samples[set->count] = sample;
	return &set->samples[set->count++];
}

void metrics_add(struct metrics_set *set, enum metrics_name name, const char *const *labels,
		 double value)
{
	struct metrics_sample *sample = add(set, name, labels, 1);

	if (sample)
		sample->value = value;
}

void metrics_add_map(void *set, const char *map, uint32_t entries, uint32_t capacity)
{
	metrics_add(set, METRICS_MAP_ENTRIES, &map, entries);
	metrics_add(set, METRICS_MAP_CAPACITY, &map, capacity);
}

void metrics_add_histogram(struct metrics_set *set, enum metrics_name name,
			   struct metrics_histogram *histogram)
{
	struct metrics_sample *sample = add(set, name, NULL, METRICS_HISTOGRAM_SERIES);
	size_t i;

	if (!sample)
		return;
	for (i = 0; i <= METRICS_BOUNDS; i++)
		sample->counts[i] = atomic_load_explicit(&histogram->counts[i],
							 memory_order_relaxed);
	sample->value = (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) /
			1e6;
}

/* A stable counting sort, because qsort(3) is not stable. Without memory the order stays, and the
 * scraper refuses a family that comes twice. */
static void sort(struct metrics_set *set)
{
	struct metrics_sample *sorted = malloc((set->count + 1) * sizeof(*sorted));
	size_t name, i, used = 0;

	if (!sorted)
		return;
	for (name = 0; name < METRICS_FAMILIES; name++)
		for (i = 0; i < set->count; i++)
			if (set->samples[i].name == name)
				sorted[used++] = set->samples[i];
	free(set->samples);
	set->samples = sorted;
	set->capacity = set->count + 1;
}

void metrics_set_finish(struct metrics_set *set)
{
	struct metrics_sample *sample;

	if (!make_room(set))
		return;
	sample = &set->samples[set->count++];
	*sample = (struct metrics_sample) {.name = METRICS_SERIES_DROPPED,
					   .value = (double)set->dropped};
	set->series++;
	sort(set);
}

void metrics_set_clear(struct metrics_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		free_labels(&set->samples[i]);
	free(set->samples);
	*set = (struct metrics_set) {0};
}
