/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of `sidestep top` has connections and bytes by container, process or destination, and
 * the rates of the verdicts. It takes events and the entries of maps, and knows neither sockets nor
 * the terminal.
 *
 * Each round begins with the state of the maps and ends with top_model_tick(). All tables have
 * limits; at a limit the oldest entry gives way.
 */
#ifndef SIDESTEP_TOP_MODEL_H
#define SIDESTEP_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOP_TEXT 128
#define TOP_LONG 512
/* The most rows of a table, and the most connections that are known. */
#define TOP_ROWS_MAX  1000
#define TOP_FLOWS_MAX 4096

enum top_group {
	TOP_CONTAINER,
	TOP_PROCESS,
	TOP_DESTINATION,
	TOP_GROUPS,
};

/* The columns, and what rows are sorted by. */
enum top_column {
	TOP_NAME,
	TOP_OPEN,
	TOP_CONNECTIONS,
	TOP_RATE, /* connections/s */
	TOP_SENT,
	TOP_RECEIVED,
	TOP_BYTES_RATE,	 /* bytes/s, both ways */
	TOP_FAILED,	 /* connections with another end than FIN */
	TOP_DENIED,	 /* packets */
	TOP_DENIED_RATE, /* packets/s */
	TOP_COLUMNS,
};

struct top_row {
	char name[TOP_TEXT];
	double value[TOP_COLUMNS]; /* but TOP_NAME; bytes of open connections are not in it */
	double open_sent, open_received;
	double former_connections, former_bytes, former_denied; /* at the last tick */
	uint64_t used;						/* the round of the last change */
};

/* A connection that is open, or that has ended lately, or packets that were denied. */
struct top_flow {
	char source[TOP_TEXT], destination[TOP_TEXT];
	char group[TOP_GROUPS][TOP_TEXT];
	char reason[TOP_TEXT]; /* a stable id of docs/EVENTS.md; "": not known yet */
	char message[TOP_LONG];
	char verdict[32];
	char end[32]; /* "": it is open */
	int gateway_status;
	double sent, received;
	uint64_t seen;	   /* the round in which it was made or in the map */
	bool from_map;	   /* no event has told of it */
	uint64_t order;	   /* later ones have higher numbers */
	unsigned int next; /* of its bucket, plus 1 */
};

/* The packets of one verdict of one instance, by its maps. */
struct top_verdict {
	char container[TOP_TEXT], verdict[32];
	double total, former, rate;
};

struct top_model;

/* NULL: out of memory. */
struct top_model *top_model_new(void);
/* NULL is allowed. */
void top_model_free(struct top_model *model);

/* Takes a line of the event socket. Returns 0, or -EINVAL: it is no event. */
int top_model_event(struct top_model *model, const char *line, size_t size);

/* Takes an entry of the map `flows`: @container is the instance's name. */
void top_model_flow(struct top_model *model, const char *container, const char *source,
		    const char *destination, double sent, double received);

/* Takes a counter of an instance. */
void top_model_counter(struct top_model *model, const char *container, const char *verdict,
		       double total);

/* An instance has ended, and with it an unknown part of the connections: forgets those that are
 * open by events. The others are in a map, or come again. */
void top_model_forget_open(struct top_model *model);

/* Ends a round: @now_ms is the time. Computes the rates since the last one, and forgets connections
 * that only a map has told of and that are not there any more. */
void top_model_tick(struct top_model *model, uint64_t now_ms);

/* Returns the rows of a table in that order, the largest first, and names from A to Z. They stay
 * the model's until the next call of it. NULL: there is none. */
const struct top_row *const *top_model_rows(struct top_model *model, enum top_group group,
					    enum top_column order, size_t *ret_count);

/* Stores the newest flows of a row. Returns how many. */
size_t top_model_flows(const struct top_model *model, enum top_group group, const char *name,
		       const struct top_flow **ret_flows, size_t limit);

/* Returns the verdicts that have counted something. */
const struct top_verdict *top_model_verdicts(const struct top_model *model, size_t *ret_count);

/* Events that did not reach this process. */
uint64_t top_model_lost(const struct top_model *model);

#endif
