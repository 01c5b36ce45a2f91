/*
 * PushTopics: records that meet a stored query are told on /topic/NAME when they change.
 *
 * A PushTopic is a record of the object PushTopic. Its query names one object, its fields and
 * conditions, nothing more. Source: Streaming API Developer Guide, "Working with PushTopics".
 */
#ifndef PGFORCE_SANDBOX_PUSH_TOPICS_H
#define PGFORCE_SANDBOX_PUSH_TOPICS_H

#include "sandbox/draft.h"
#include "sandbox/event_writer.h"

struct push_topic;

/* Adds to the save's errors when the draft is a PushTopic that cannot work. */
void push_topics_check(struct draft *draft);

/* The active topics, in the call's arena; NULL when there are none. */
bool push_topics_load(struct call *call, struct push_topic **topics, struct error *err);

/* One event for each topic that the changed record concerns. */
bool push_topics_tell(struct call *call, const struct push_topic *topics,
                      const struct event_change *change, struct error *err);

#endif
