/* SPDX-License-Identifier: MIT */
/* Circular doubly linked lists embedded in their elements. Locking is the user's. */
#ifndef BHI_BASE_LIST_H
#define BHI_BASE_LIST_H

#include "base/compiler.h"

struct bhi_list {
	struct bhi_list *next, *prev;
};

static inline void bhi_list_init(struct bhi_list *head)
{
	head->next = head->prev = head;
}

static inline bool bhi_list_empty(const struct bhi_list *head)
{
	return head->next == head;
}

/* An element that is on no list points at itself, so unlink may be repeated. */
static inline bool bhi_list_linked(const struct bhi_list *node)
{
	return node->next && node->next != node;
}

static inline void bhi_list_insert(
	struct bhi_list *node, struct bhi_list *prev, struct bhi_list *next)
{
	next->prev = node;
	node->next = next;
	node->prev = prev;
	prev->next = node;
}

static inline void bhi_list_push(struct bhi_list *head, struct bhi_list *node)
{
	bhi_list_insert(node, head, head->next);
}

static inline void bhi_list_append(struct bhi_list *head, struct bhi_list *node)
{
	bhi_list_insert(node, head->prev, head);
}

static inline void bhi_list_unlink(struct bhi_list *node)
{
	node->next->prev = node->prev;
	node->prev->next = node->next;
	bhi_list_init(node);
}

/* Move all of @from to the end of @to; @from is empty afterwards. */
static inline void bhi_list_splice(struct bhi_list *to, struct bhi_list *from)
{
	if (bhi_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	bhi_list_init(from);
}

/* Take what comes before @node, an element or @head, off the list. The links of what was
 * taken are stale. */
static inline void bhi_list_cut(struct bhi_list *head, struct bhi_list *node)
{
	head->next = node;
	node->prev = head;
}

#define bhi_list_entry(node, type, member) bhi_container_of(node, type, member)
#define bhi_list_first(head, type, member) \
	(bhi_list_empty(head) ? NULL : bhi_list_entry((head)->next, type, member))

#define bhi_list_for_each(node, head) \
	for (struct bhi_list *node = (head)->next; node != (head); node = node->next)

/* @node may be unlinked or freed in the body. */
#define bhi_list_for_each_safe(node, head)                                     \
	for (struct bhi_list *node = (head)->next, *node##_next_ = node->next; \
		node != (head); node = node##_next_, node##_next_ = node->next)

#endif
