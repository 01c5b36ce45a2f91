/*
 * Rows in XML instead of JSON, for clients that ask for it: a JSON answer becomes the XML that
 * Salesforce writes for it, and a body of elements becomes an object of fields.
 *
 * Source: REST API Developer Guide, the XML forms of "sObject Rows".
 */
#ifndef PGFORCE_SANDBOX_XML_ROWS_H
#define PGFORCE_SANDBOX_XML_ROWS_H

#include "sandbox/call.h"

/* Accept prefers XML. */
bool xml_rows_are_wanted(const struct call *call);

/* Turns the JSON answer into XML where that is wanted. */
void xml_rows_write(struct call *call);

/* <Account><Name>Acme</Name></Account> as {"Name": "Acme"}; NULL when it is not that. */
json_t *xml_rows_read(const char *document, size_t size_bytes);

/* Appends an element: members as elements, those of "attributes" as attributes. */
void xml_rows_append(struct buf *out, const char *name, const json_t *json);

#endif
