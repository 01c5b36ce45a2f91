/*
 * One event as one line of JSON that needs nothing before it: names instead of ids, the transaction
 * repeated in every change.
 *
 *     {"op":"update","schema":"public","table":"t","lsn":"0/16B3748","seq":1,"xid":731,
 *      "commit_time":"2026-11-21T10:20:30.000000Z","origin":"","after":{"id":"1","name":null},
 *      "before":{"id":"1"},"unchanged":["body"],"omitted":{"scan":80000000}}
 *
 * lsn is where reading goes on after the transaction. Values are the type's own text or null; a
 * column that is absent on the wire is absent here. after, before, unchanged, omitted (sizes in
 * bytes of what was too large to send) and omitted_before are there only if the change has any.
 * What is not UTF-8 becomes U+FFFD, so that a line is always valid JSON.
 */
#ifndef PGFORCE_CHANGE_CHANGE_JSON_H
#define PGFORCE_CHANGE_CHANGE_JSON_H

#include "change/change.h"

struct change_json_options {
    bool with_transactions; /* print begin and commit */
    bool with_relations;    /* print relation */
    bool mask;              /* "x" for what differs from run to run: xid, lsn, time, OIDs */
};

/* Appends the line with its line feed, or nothing for an event that is not to be printed. */
void change_json_print(struct buf *buf, const struct event *event,
                       const struct change_json_options *options);

/* Appends text as a JSON string, quotes included, under the same rules. */
void change_json_string(struct buf *buf, const char *text, size_t size_bytes);

#endif
