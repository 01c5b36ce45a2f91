/*
 * One readable line per change, for people: what changed, from what to what.
 *
 *     TIME LSN/SEQ update public.account id=7 name: Acme → "Acme Ltd"
 *
 * A row is named by its replica identity; where that is the whole row, by its column id, else by
 * its first. Nulls of new and deleted rows are left out. Values are quoted where they need it, cut
 * after 200 bytes, and can do a terminal no harm: control characters are escaped.
 */
#ifndef PGFORCE_TAIL_FORMAT_TEXT_H
#define PGFORCE_TAIL_FORMAT_TEXT_H

#include "tail/format.h"

void format_text_print(struct buf *out, const struct event *event,
                       const struct format_options *options);

#endif
