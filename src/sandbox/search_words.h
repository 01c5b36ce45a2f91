/*
 * What stands between FIND's braces, as a SOQL condition over some fields. Pure.
 *
 * Words must all be there unless OR stands between them; AND NOT excludes; "a phrase" is one word;
 * * and ? stand for some or one character.
 */
#ifndef PGFORCE_SANDBOX_SEARCH_WORDS_H
#define PGFORCE_SANDBOX_SEARCH_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* False when there is no word of at least two characters, or AND and OR alternate too often. */
bool search_words(struct buf *soql, const char *text, const char *const *fields, size_t count);

#endif
