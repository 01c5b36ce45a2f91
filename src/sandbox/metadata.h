/*
 * The Metadata API over SOAP, for custom objects and custom fields: create, read, update, upsert,
 * delete, list and describe. Packages (deploy, retrieve) are refused.
 */
#ifndef PGFORCE_SANDBOX_METADATA_H
#define PGFORCE_SANDBOX_METADATA_H

#include "sandbox/call.h"

void metadata_soap(struct call *call);

#endif
