/*
 * As much XML as old clients need: the text of an element that is found by its name, and text made
 * fit for a document. It knows no attributes, no namespaces (prefixes are passed over), no entities
 * but XML's own five and numbers.
 */
#ifndef PGFORCE_SANDBOX_XML_H
#define PGFORCE_SANDBOX_XML_H

#include "base/arena.h"
#include "base/buf.h"

/* The text of the first element of that name, unescaped; NULL when there is none. */
const char *xml_find(struct arena *arena, const char *document, const char *name);

const char *xml_escape(struct arena *arena, const char *text);
void xml_write(struct buf *out, const char *text);

#endif
