// SPDX-License-Identifier: Apache-2.0
#include "commands/top_view.h"

#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events/reason.h"
#include "lib/util.h"

/* Most connections of a row that are shown. */
#define FLOWS_SHOWN 500
/* Lines above a table, and those below it that tell of a connection. */
#define TABLE_LINE   3
#define REASON_LINES 10
/* The width of a table's first column, and the least one in a narrow window. */
#define NAME_WIDTH 36
#define NAME_LEAST 16

static const char *const group_names[TOP_GROUPS] = {"container", "process", "destination"};

/* The columns behind the name, each with its key. */
static const struct {
	const char *title;
	enum top_column column;
	int key, width;
	bool bytes;
} columns[] = {
	{"Open", TOP_OPEN, 'o', 7, false},
	{"Closed", TOP_CONNECTIONS, 'c', 9, false},
	{"Conn/s", TOP_RATE, 'r', 9, false},
	{"Failed", TOP_FAILED, 'f', 8, false},
	{"Sent", TOP_SENT, 's', 9, true},
	{"Received", TOP_RECEIVED, 'v', 9, true},
	{"Bytes/s", TOP_BYTES_RATE, 'b', 10, true},
	{"Denied", TOP_DENIED, 'd', 8, false},
	{"Denied/s", TOP_DENIED_RATE, 'D', 9, false},
};

int top_view_open(void)
{
	SCREEN *screen = newterm(NULL, stdout, stdin);

	if (!screen)
		return -ENOTTY;
	(void)set_term(screen);
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)curs_set(0);
	return 0;
}

void top_view_close(void)
{
	(void)endwin();
}

/* Prints @value in at most 7 columns, with a unit of 1024 for bytes. */
static const char *number(double value, bool bytes, char text[16])
{
	static const char units[] = " KMGTP";
	size_t unit = 0;

	while (bytes && value >= 10000 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	if (unit > 0)
		(void)snprintf(text, 16, "%.0f%c", value, units[unit]);
	else if (value < 10 && value != (double)(int)value)
		(void)snprintf(text, 16, "%.1f", value);
	else
		(void)snprintf(text, 16, "%.0f", value);
	return text;
}

/* Prints a text that ends before the window's edge. Bytes that are not printable become "?". */
static void put(int line, int column, int width, const char *text)
{
	char shown[512];
	int i, room = COLS - column;

	if (line >= LINES || room <= 0)
		return;
	if (width > room)
		width = room;
	for (i = 0; i < width && i < (int)sizeof(shown) - 1 && text[i]; i++)
		shown[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	shown[i] = '\0';
	(void)mvaddstr(line, column, shown);
}

static void put_right(int line, int column, int width, const char *text)
{
	int length = (int)strlen(text);

	put(line, column + (width > length ? width - length : 0), length, text);
}

/* Prints a text on as many lines as it takes, and breaks it between words. Returns the next line.
 */
static int put_wrapped(int line, const char *text)
{
	int left = (int)strlen(text), size;

	for (; left > 0 && COLS > 0; text += size, left -= size) {
		size = left;
		if (left > COLS) {
			for (size = COLS; size > 0 && text[size] != ' '; size--)
				;
			size = size > 0 ? size : COLS;
		}
		put(line++, 0, size, text);
		/* A space at the break is not printed. */
		if (size < left && text[size] == ' ')
			size++;
	}
	return line;
}

/* Chooses the columns that the window has room for. The one that rows are sorted by is always
 * there. Returns the width of the name. */
static int choose_columns(const struct top_view *view, bool shown[ARRAY_SIZE(columns)])
{
	int room = COLS - NAME_LEAST;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		shown[i] = columns[i].column == view->order;
		room -= shown[i] ? columns[i].width : 0;
	}
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (shown[i] || room < columns[i].width)
			continue;
		shown[i] = true;
		room -= columns[i].width;
	}
	room = NAME_LEAST + (room > 0 ? room : 0);
	return room < NAME_WIDTH ? room : NAME_WIDTH;
}

static void draw_head(const struct top_view *view, const struct top_model *model)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "sidestep top: by %s, %zu event socket%s, %llu events lost",
		       group_names[view->group], view->sockets, view->sockets == 1 ? "" : "s",
		       (unsigned long long)top_model_lost(model));
	(void)attron(A_BOLD);
	put(0, 0, COLS, text);
	(void)attroff(A_BOLD);
	put(1, 0, COLS,
	    view->page == TOP_PAGE_ROWS
		    ? "g group  enter connections  V verdicts  n o c r f s v b d D sort  q quit"
	    : view->page == TOP_PAGE_FLOWS ? "up, down select  backspace back  q quit"
					   : "up, down scroll  backspace back  q quit");
}

static void draw_titles(const struct top_view *view)
{
	bool shown[ARRAY_SIZE(columns)];
	int column = choose_columns(view, shown);
	size_t i;

	(void)attron(A_REVERSE);
	(void)mvhline(TABLE_LINE - 1, 0, ' ', COLS);
	put(TABLE_LINE - 1, 0, column, view->order == TOP_NAME ? "NAME" : "Name");
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		bool sorted = columns[i].column == view->order;

		if (!shown[i])
			continue;
		if (sorted)
			(void)attron(A_BOLD | A_UNDERLINE);
		put_right(TABLE_LINE - 1, column, columns[i].width, columns[i].title);
		if (sorted)
			(void)attroff(A_BOLD | A_UNDERLINE);
		column += columns[i].width;
	}
	(void)attroff(A_REVERSE);
}

static double shown_value(const struct top_row *row, enum top_column column)
{
	return row->value[column] + (column == TOP_SENT	      ? row->open_sent
				     : column == TOP_RECEIVED ? row->open_received
							      : 0);
}

static void draw_row(const struct top_view *view, const struct top_row *row, int line)
{
	bool shown[ARRAY_SIZE(columns)];
	int column = choose_columns(view, shown);
	char text[16];
	size_t i;

	(void)mvhline(line, 0, ' ', COLS);
	put(line, 0, column - 1, row->name);
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (!shown[i])
			continue;
		put_right(line, column, columns[i].width,
			  number(shown_value(row, columns[i].column), columns[i].bytes, text));
		column += columns[i].width;
	}
}

/* Returns the first of @count entries to draw so that the selected one is seen. */
static size_t first_shown(size_t selected, int lines)
{
	return selected >= (size_t)lines ? selected - (size_t)lines + 1 : 0;
}

static void draw_rows(struct top_view *view, struct top_model *model)
{
	int lines = LINES - TABLE_LINE > 1 ? LINES - TABLE_LINE : 1;
	const struct top_row *const *rows;
	size_t count, i, first;

	rows = top_model_rows(model, view->group, view->order, &count);
	if (view->selected >= count)
		view->selected = count ? count - 1 : 0;
	draw_titles(view);
	first = first_shown(view->selected, lines);
	for (i = first; i < count && i - first < (size_t)lines; i++) {
		if (i == view->selected) {
			(void)attron(A_REVERSE);
			(void)snprintf(view->name, sizeof(view->name), "%s", rows[i]->name);
		}
		draw_row(view, rows[i], TABLE_LINE + (int)(i - first));
		(void)attroff(A_REVERSE);
	}
	if (count == 0)
		put(TABLE_LINE, 0, COLS, "No connection yet.");
}

/* A narrow window has the source and the bytes of the selected connection alone. */
static void draw_flow(const struct top_flow *flow, int line)
{
	const char *end = flow->end[0] ? flow->end : "open", *reason = flow->reason;
	char text[512], sent[16], received[16];
	int size;

	size = snprintf(text, sizeof(text), "%-22s %-28s %-20s %-26s %7s %7s", flow->source,
			flow->group[TOP_DESTINATION], end, reason[0] ? reason : "-",
			number(flow->sent, true, sent), number(flow->received, true, received));
	if (size > COLS)
		(void)snprintf(text, sizeof(text), "%-20s %-26s %s", end, reason[0] ? reason : "-",
			       flow->group[TOP_DESTINATION]);
	(void)mvhline(line, 0, ' ', COLS);
	put(line, 0, COLS, text);
}

/* Draws all that is known of the selected connection, at the bottom. */
static void draw_reason(const struct top_flow *flow, int line)
{
	const char *remedy = reason_remedy(flow->reason);
	char text[TOP_LONG + 64], status[16] = "-", sent[16], received[16];

	if (flow->gateway_status > 0)
		(void)snprintf(status, sizeof(status), "%d", flow->gateway_status);
	(void)mvhline(line++, 0, ACS_HLINE, COLS);
	(void)snprintf(text, sizeof(text), "%s to %s: verdict %s, reason %s, gateway status %s",
		       flow->source, flow->destination, flow->verdict[0] ? flow->verdict : "-",
		       flow->reason[0] ? flow->reason : "-", status);
	line = put_wrapped(line, text);
	(void)snprintf(text, sizeof(text), "container %s, process %s, %s B sent, %s B received",
		       flow->group[TOP_CONTAINER], flow->group[TOP_PROCESS],
		       number(flow->sent, true, sent), number(flow->received, true, received));
	line = put_wrapped(line, text);
	line = put_wrapped(line, flow->message);
	if (!remedy)
		return;
	(void)snprintf(text, sizeof(text), "do:  %s", remedy);
	(void)put_wrapped(line, text);
}

static void draw_flows(struct top_view *view, const struct top_model *model)
{
	int below = LINES - TABLE_LINE - REASON_LINES, lines = below > 1 ? below : 1;
	const struct top_flow *flows[FLOWS_SHOWN];
	size_t count = top_model_flows(model, view->group, view->name, flows, FLOWS_SHOWN);
	size_t first, i;

	if (view->flow >= count)
		view->flow = count ? count - 1 : 0;
	(void)attron(A_REVERSE);
	(void)mvhline(TABLE_LINE - 1, 0, ' ', COLS);
	put(TABLE_LINE - 1, 0, COLS, view->name);
	(void)attroff(A_REVERSE);
	first = first_shown(view->flow, lines);
	for (i = first; i < count && i - first < (size_t)lines; i++) {
		if (i == view->flow)
			(void)attron(A_REVERSE);
		draw_flow(flows[i], TABLE_LINE + (int)(i - first));
		(void)attroff(A_REVERSE);
	}
	if (count > 0)
		draw_reason(flows[view->flow], TABLE_LINE + lines);
}

static void draw_verdicts(struct top_view *view, const struct top_model *model)
{
	size_t lines = LINES > TABLE_LINE ? (size_t)(LINES - TABLE_LINE) : 1, count, i;
	const struct top_verdict *verdicts = top_model_verdicts(model, &count);

	(void)attron(A_REVERSE);
	(void)mvhline(TABLE_LINE - 1, 0, ' ', COLS);
	put(TABLE_LINE - 1, 0, COLS,
	    "Container                           Verdict           Packets     Packets/s");
	(void)attroff(A_REVERSE);
	if (view->verdict + lines > count)
		view->verdict = count > lines ? count - lines : 0;
	for (i = view->verdict; i < count && i - view->verdict < lines; i++) {
		char text[256];

		(void)snprintf(text, sizeof(text), "%-35.35s %-16s %9.0f %13.1f",
			       verdicts[i].container, verdicts[i].verdict, verdicts[i].total,
			       verdicts[i].rate);
		put(TABLE_LINE + (int)(i - view->verdict), 0, COLS, text);
	}
	if (count == 0)
		put(TABLE_LINE, 0, COLS,
		    "No maps are pinned (--pin), or this process may not read them.");
}

void top_view_draw(struct top_view *view, struct top_model *model)
{
	(void)erase();
	draw_head(view, model);
	if (view->page == TOP_PAGE_ROWS)
		draw_rows(view, model);
	else if (view->page == TOP_PAGE_FLOWS)
		draw_flows(view, model);
	else
		draw_verdicts(view, model);
	(void)refresh();
}

static void move_selection(struct top_view *view, int by)
{
	size_t *at = view->page == TOP_PAGE_FLOWS      ? &view->flow
		     : view->page == TOP_PAGE_VERDICTS ? &view->verdict
						       : &view->selected;

	if (by > 0)
		*at += (size_t)by;
	else
		*at -= *at < (size_t)-by ? *at : (size_t)-by;
}

static void sort_by_key(struct top_view *view, int key)
{
	size_t i;

	if (key == 'n')
		view->order = TOP_NAME;
	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (columns[i].key == key)
			view->order = columns[i].column;
}

bool top_view_keys(struct top_view *view)
{
	int key;

	while ((key = getch()) != ERR) {
		switch (key) {
		case 'q':
			return false;
		case KEY_UP:
		case 'k':
			move_selection(view, -1);
			break;
		case KEY_DOWN:
		case 'j':
			move_selection(view, 1);
			break;
		case KEY_PPAGE:
			move_selection(view, -10);
			break;
		case KEY_NPAGE:
			move_selection(view, 10);
			break;
		case '\r':
		case KEY_ENTER:
			view->page = TOP_PAGE_FLOWS;
			view->flow = 0;
			break;
		case 'V':
			view->page = TOP_PAGE_VERDICTS;
			break;
		case KEY_BACKSPACE:
		case 0x7f:
		case 0x1b: /* escape */
			view->page = TOP_PAGE_ROWS;
			break;
		case 'g':
			view->group = (view->group + 1) % TOP_GROUPS;
			view->selected = 0;
			view->page = TOP_PAGE_ROWS;
			break;
		default:
			sort_by_key(view, key);
			break;
		}
	}
	return true;
}
