/*
 * What the Metadata and the Tooling API do to custom objects and fields: the same for both,
 * whatever envelope it came in.
 */
#ifndef PGFORCE_SANDBOX_METADATA_STORE_H
#define PGFORCE_SANDBOX_METADATA_STORE_H

#include "sandbox/call.h"

enum metadata_store_how { METADATA_CREATE, METADATA_UPDATE, METADATA_UPSERT };

/* A component's type and full name: CustomField "Account.Code__c", CustomObject "Invoice__c". */
struct metadata_store_name {
    const char *type;
    const char *full;
};

/* Where it is wrong, the errors say why; nothing is done then. */
void metadata_store_save(struct call *call, const struct metadata_store_name *name,
                         const json_t *metadata, enum metadata_store_how how,
                         struct record_errors *errors);
void metadata_store_remove(struct call *call, const struct metadata_store_name *name,
                           struct record_errors *errors);

/* What it is, as metadata; NULL when there is none of that name. */
json_t *metadata_store_read(struct call *call, const struct metadata_store_name *name);

/* "Account.Code__c": the object, and in *field the field or, where there is none yet, NULL. Answers
 * the name of the field; NULL when the name is not of that form or there is no such object. */
const char *metadata_store_split(struct call *call, const char *full_name,
                                 const struct object **object, const struct field **field);

#endif
