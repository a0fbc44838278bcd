/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive, doubly linked list, such as the kernel's <linux/list.h>. A structure joins a list
 * by a struct list_link member, and container_of() (lib/util.h) leads back from the link to the
 * structure.
 *
 * The list is a ring through its head. The lists own nothing.
 */
#ifndef SIDESTEP_LIST_H
#define SIDESTEP_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A head, or a member's link. A zero-initialised link is in no list. */
struct list_link {
	struct list_link *next;
	struct list_link *previous;
};

/* Empties the list. A head needs this before its first use. */
static inline void list_init(struct list_link *head)
{
	head->next = head;
	head->previous = head;
}

/* Adds @link, which is in no list, at the end. */
static inline void list_append(struct list_link *head, struct list_link *link)
{
	link->previous = head->previous;
	link->next = head;
	head->previous->next = link;
	head->previous = link;
}

/* Takes @link out of its list. Does nothing when it is in none. */
static inline void list_remove(struct list_link *link)
{
	if (!link->next)
		return;
	link->next->previous = link->previous;
	link->previous->next = link->next;
	link->next = NULL;
	link->previous = NULL;
}

/* Tells whether @link is in a list. */
static inline bool list_linked(const struct list_link *link)
{
	return link->next != NULL;
}

/* Moves all members of @from to @to, whose former contents are forgotten. */
static inline void list_move_all(struct list_link *from, struct list_link *to)
{
	list_init(to);
	if (from->next == from)
		return;
	*to = *from;
	to->next->previous = to;
	to->previous->next = to;
	list_init(from);
}

/* Returns the oldest member's link, or NULL when the list is empty. */
static inline struct list_link *list_first(const struct list_link *head)
{
	return head->next == head ? NULL : head->next;
}

/* Returns the link behind @link, or NULL: it is the newest. */
static inline struct list_link *list_next(const struct list_link *head,
					  const struct list_link *link)
{
	return link->next == head ? NULL : link->next;
}

#endif
