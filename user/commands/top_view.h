/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of `sidestep top`, by ncurses(3). */
#ifndef SIDESTEP_TOP_VIEW_H
#define SIDESTEP_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "commands/top_model.h"

enum top_page {
	TOP_PAGE_ROWS,	   /* the table of a group */
	TOP_PAGE_FLOWS,	   /* the connections of the selected row, and the reason of one */
	TOP_PAGE_VERDICTS, /* the counters of the maps */
};

struct top_view {
	enum top_page page;
	enum top_group group;
	enum top_column order;
	size_t selected, flow; /* indices into the rows and the row's connections */
	size_t verdict;	       /* index of the first one that is shown */
	char name[TOP_TEXT];   /* the selected row's */
	size_t sockets;	       /* event sockets that are followed */
};

/* Takes the terminal. Returns 0, or -ENOTTY: it cannot be used, with the screen as it was. */
int top_view_open(void);
void top_view_close(void);

/* Draws everything anew. */
void top_view_draw(struct top_view *view, struct top_model *model);

/* Handles the keys that were pressed. Returns false for the one that ends. */
bool top_view_keys(struct top_view *view);

#endif
