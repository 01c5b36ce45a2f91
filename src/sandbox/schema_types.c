#include "sandbox/schema_types.h"

#include <string.h>

static const struct field_type types[] = {
    {"id", "tns:ID", "Id", KIND_ID, 18},
    {"reference", "tns:ID", "Id", KIND_ID, 18},
    {"string", "xsd:string", "String", KIND_TEXT, 255},
    {"email", "xsd:string", "String", KIND_TEXT, 80},
    {"phone", "xsd:string", "String", KIND_TEXT, 40},
    {"url", "xsd:string", "String", KIND_TEXT, 255},
    {"picklist", "xsd:string", "String", KIND_TEXT, 255},
    {"multipicklist", "xsd:string", "String", KIND_TEXT, 4099},
    {"combobox", "xsd:string", "String", KIND_TEXT, 255},
    {"textarea", "xsd:string", "String", KIND_TEXT, 255},
    {"encryptedstring", "xsd:string", "String", KIND_TEXT, 175},
    {"boolean", "xsd:boolean", "Boolean", KIND_BOOLEAN, 0},
    {"int", "xsd:int", "Integer", KIND_INTEGER, 0},
    {"long", "xsd:long", "Long", KIND_INTEGER, 0},
    {"double", "xsd:double", "Double", KIND_REAL, 0},
    {"currency", "xsd:double", "Double", KIND_REAL, 0},
    {"percent", "xsd:double", "Double", KIND_REAL, 0},
    {"date", "xsd:date", "Date", KIND_DATE, 0},
    {"datetime", "xsd:dateTime", "DateTime", KIND_DATETIME, 0},
    {"time", "xsd:time", "Time", KIND_TIME, 0},
    {"base64", "xsd:base64Binary", "Blob", KIND_TEXT, 0},
    {"address", "urn:address", "Address", KIND_COMPOUND, 0},
};

const struct field_type *schema_types_find(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}
