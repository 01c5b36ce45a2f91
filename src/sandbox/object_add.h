/*
 * `pgforce-sandbox object add`: an object, or fields of one, given on the command line or in a
 * file, for a sandbox that runs or for the data file of one that does not.
 */
#ifndef PGFORCE_SANDBOX_OBJECT_ADD_H
#define PGFORCE_SANDBOX_OBJECT_ADD_H

#include <jansson.h>

#include "base/error.h"

/* What stands behind "object add"; answers the exit code. */
int object_add_main(int argc, char **argv);

/* The definition (schema.h) of a field written as NAME:TYPE, TYPE(...) and properties behind
 * commas: Code__c:string(20),unique,external-id    Price__c:currency(16,2),required
 *     Stage__c:picklist(Idea|Doing|Done)       Account__c:reference(Account),master
 * NULL after setting err. Types are not looked at here. */
json_t *object_add_field(const char *text, struct error *err);

#endif
