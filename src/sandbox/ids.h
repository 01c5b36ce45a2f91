/*
 * Record ids: 3 characters of key prefix, 2 of instance, 1 reserved, 9 of a base-62 number, and, in
 * the long form, 3 characters that make the id safe where case is lost.
 *
 * Each of those three encodes which of five characters are upper case (Salesforce Help, "Record
 * IDs"). Ids are stored and answered in the long form; the short form is accepted everywhere.
 */
#ifndef PGFORCE_SANDBOX_IDS_H
#define PGFORCE_SANDBOX_IDS_H

#include <stdbool.h>
#include <stdint.h>

enum { IDS_SHORT = 15, IDS_LONG = 18 };

struct ids_text {
    char text[IDS_LONG + 1];
};

/* The id number `number` of the object with this three-character prefix. */
struct ids_text ids_make(const char *key_prefix, int64_t number);

/* Accepts 15 characters, or 18 with whatever case and the right checksum; answers the 18. */
bool ids_normalize(const char *text, struct ids_text *id);

#endif
