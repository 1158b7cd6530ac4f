/*
 * Doubly linked ring with a head; a node lies inside what it links.
 */
#ifndef TINIX_LIST_H
#define TINIX_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head)                                                                                                \
	{                                                                                                              \
		&(head), &(head)                                                                                       \
	}
#define list_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
/* The node visited may be removed, others not. */
#define list_each(node, head)                                                                                          \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                              \
	     node = node##_next, node##_next = node->next)

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Before `at`: with the head, at the end. */
static inline void list_add(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

/* Leaves the node a ring of its own, so that removing it again does nothing. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
