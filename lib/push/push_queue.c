/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that wait to be sent. */
#include <stdlib.h>

#include "push/push_priv.h"

struct push_item *push_item_free(struct push_item *item)
{
	if (!item)
		return NULL;
	free(item->url);
	free(item->body.bytes);
	free(item);
	return NULL;
}

void push_queue_init(struct push_queue *queue)
{
	*queue = (struct push_queue){};
	queue->tail = &queue->head;
}

void push_queue_deinit(struct push_queue *queue)
{
	struct push_item *item;

	while ((item = push_queue_take(queue)))
		push_item_free(item);
}

/* All but the newest may go, so that there always is something to send. */
static unsigned bound(struct push_queue *queue)
{
	unsigned n = 0;

	for (; queue->n > 1 && (queue->n > PUSH_MAX_QUEUED || queue->bytes > PUSH_MAX_QUEUED_BYTES);
	     n++)
		push_item_free(push_queue_take(queue));
	return n;
}

unsigned push_queue_put(struct push_queue *queue, struct push_item *take_item)
{
	take_item->next = NULL;
	*queue->tail = take_item;
	queue->tail = &take_item->next;
	queue->n++;
	queue->bytes += take_item->body.size;
	return bound(queue);
}

unsigned push_queue_return(struct push_queue *queue, struct push_item *take_item)
{
	take_item->next = queue->head;
	if (!queue->head)
		queue->tail = &take_item->next;
	queue->head = take_item;
	queue->n++;
	queue->bytes += take_item->body.size;
	return bound(queue);
}

struct push_item *push_queue_take(struct push_queue *queue)
{
	struct push_item *item = queue->head;

	if (!item)
		return NULL;
	queue->head = item->next;
	if (!queue->head)
		queue->tail = &queue->head;
	queue->n--;
	queue->bytes -= item->body.size;
	return item;
}
