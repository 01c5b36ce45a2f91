/*
 * XML that clients send, and text made fit for a document.
 *
 * libxml2 reads it: nothing is fetched, no entity but XML's own is known, and a document with a
 * type definition is refused. Namespaces are passed over.
 */
#ifndef PGFORCE_SANDBOX_XML_H
#define PGFORCE_SANDBOX_XML_H

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/* The document as JSON, or NULL when it is not well-formed: {"root": content}. The content of an
 * element with others in it is an object, several of one name an array; of one without, its text;
 * of an empty one or xsi:nil, null. Of attributes only xsi:type is kept, as "@type". */
json_t *xml_read(const char *document, size_t size_bytes);

/* The text of the first element of that name; NULL when there is none or the document is none. */
const char *xml_find(struct arena *arena, const char *document, const char *name);

const char *xml_escape(struct arena *arena, const char *text);
void xml_write(struct buf *out, const char *text);

#endif
