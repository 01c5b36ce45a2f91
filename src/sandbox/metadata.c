#include "sandbox/metadata.h"

#include <string.h>
#include <strings.h>

#include "sandbox/limits.h"
#include "sandbox/metadata_store.h"
#include "sandbox/oauth.h"
#include "sandbox/soap.h"
#include "sandbox/times.h"
#include "sandbox/xml_rows.h"

enum { MAX_ANSWER_BYTES = 64 * 1024 * 1024, MAX_COMPONENTS = 10 };

struct operation {
    struct call *call;
    const struct soap *soap;
    struct buf *out; /* what <result> elements are appended to */
};

/* An element that came once is no array. The caller frees it. */
static json_t *list_of(const json_t *json)
{
    if (json == NULL || json_is_null(json))
        return json_array();
    return json_is_array(json) ? json_incref((json_t *)json) : json_pack("[O]", json);
}

static const char *text_in(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

/* "met:CustomObject" is CustomObject. */
static const char *type_of(const json_t *metadata)
{
    const char *type = text_in(metadata, "@type");
    const char *colon = strchr(type, ':');

    return colon != NULL ? colon + 1 : type;
}

static void append_result(struct operation *operation, json_t *result)
{
    xml_rows_append(operation->out, "result", result);
    json_decref(result);
}

static json_t *list_errors(const struct record_errors *errors)
{
    json_t *list = json_array();

    for (const struct record_error *error = errors->first; error != NULL; error = error->next)
        json_array_append_new(list, json_pack("{s:o, s:s}", "message",
                                              errors_text_to_json(error->message), "statusCode",
                                              error->code));
    return list;
}

static json_t *tell_outcome(const char *full_name, const struct record_errors *errors)
{
    return json_pack("{s:o, s:s, s:b}", "errors", list_errors(errors), "fullName", full_name,
                     "success", errors_is_empty(errors));
}

/* ---- saving ---- */

static void save_all(struct operation *operation, enum metadata_store_how how)
{
    struct call *call = operation->call;
    json_t *list = list_of(json_object_get(operation->soap->arguments, "metadata"));
    size_t index;
    const json_t *metadata;

    json_array_foreach(list, index, metadata)
    {
        const struct metadata_store_name name = {type_of(metadata), text_in(metadata, "fullName")};
        struct record_errors errors = {.arena = call->arena};
        json_t *before = metadata_store_read(call, &name);

        if (index >= MAX_COMPONENTS)
            errors_add(&errors, "LIMIT_EXCEEDED", "", "at most %d components in a call",
                       MAX_COMPONENTS);
        else
            metadata_store_save(call, &name, metadata, how, &errors);
        json_t *result = tell_outcome(name.full, &errors);
        if (how == METADATA_UPSERT)
            json_object_set_new(result, "created",
                                json_boolean(before == NULL && errors_is_empty(&errors)));
        json_decref(before);
        append_result(operation, result);
    }
    json_decref(list);
}

static void create_all(struct operation *operation)
{
    save_all(operation, METADATA_CREATE);
}

static void update_all(struct operation *operation)
{
    save_all(operation, METADATA_UPDATE);
}

static void upsert_all(struct operation *operation)
{
    save_all(operation, METADATA_UPSERT);
}

static void delete_all(struct operation *operation)
{
    const json_t *arguments = operation->soap->arguments;
    json_t *list = list_of(json_object_get(arguments, "fullNames"));
    size_t index;
    const json_t *each;

    json_array_foreach(list, index, each)
    {
        const char *full = json_string_value(each);
        const struct metadata_store_name name = {text_in(arguments, "type"),
                                                 full != NULL ? full : ""};
        struct record_errors errors = {.arena = operation->call->arena};

        metadata_store_remove(operation->call, &name, &errors);
        append_result(operation, tell_outcome(name.full, &errors));
    }
    json_decref(list);
}

/* ---- reading ---- */

static void read_all(struct operation *operation)
{
    const json_t *arguments = operation->soap->arguments;
    const char *type = text_in(arguments, "type");
    json_t *list = list_of(json_object_get(arguments, "fullNames"));
    size_t index;
    const json_t *each;

    buf_text(operation->out, "<result>");
    json_array_foreach(list, index, each)
    {
        const char *full = json_string_value(each);
        const struct metadata_store_name name = {type, full != NULL ? full : ""};
        json_t *record = metadata_store_read(operation->call, &name);

        if (record == NULL)
            record = json_null();
        else
            json_object_set_new(record, "attributes", json_pack("{s:s}", "xsi:type", type));
        xml_rows_append(operation->out, "records", record);
        json_decref(record);
    }
    buf_text(operation->out, "</result>");
    json_decref(list);
}

static json_t *tell_file(struct operation *operation, const char *type, const char *folder,
                         const char *full_name)
{
    const struct org *org = operation->call->org;
    const char *date =
        arena_strdup(operation->call->arena, times_format_datetime(org->schema_modified_s).text);

    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "createdById",
                     org->user_id, "createdByName", "Sandbox", "createdDate", date, "fileName",
                     json_sprintf("objects/%s.object", folder), "fullName", full_name, "id", "",
                     "lastModifiedById", org->user_id, "lastModifiedByName", "Sandbox",
                     "lastModifiedDate", date, "type", type);
}

static void list_fields(struct operation *operation, const struct object *object)
{
    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (field->is_custom && !field->is_hidden)
            append_result(operation, tell_file(operation, "CustomField", object->name,
                                               arena_printf(operation->call->arena, "%s.%s",
                                                            object->name, field->name)));
    }
}

static void list_all(struct operation *operation)
{
    const struct schema *schema = operation->call->org->schema;
    json_t *queries = list_of(json_object_get(operation->soap->arguments, "queries"));
    size_t index;
    const json_t *query;

    json_array_foreach(queries, index, query) for (size_t i = 0; i < schema_count(schema); i++)
    {
        const struct object *object = schema_at(schema, i);

        if (strcmp(text_in(query, "type"), "CustomObject") == 0)
            append_result(operation,
                          tell_file(operation, "CustomObject", object->name, object->name));
        else if (strcmp(text_in(query, "type"), "CustomField") == 0)
            list_fields(operation, object);
    }
    json_decref(queries);
}

static void describe_all(struct operation *operation)
{
    buf_text(operation->out,
             "<result><metadataObjects><childXmlNames>CustomField</childXmlNames>"
             "<directoryName>objects</directoryName><inFolder>false</inFolder>"
             "<metaFile>false</metaFile><suffix>object</suffix><xmlName>CustomObject</xmlName>"
             "</metadataObjects><organizationNamespace></organizationNamespace>"
             "<partialSaveAllowed>true</partialSaveAllowed><testRequired>false</testRequired>"
             "</result>");
}

static const struct {
    const char *name;
    void (*run)(struct operation *operation);
} operations[] = {
    {"createMetadata", create_all},     {"updateMetadata", update_all},
    {"upsertMetadata", upsert_all},     {"deleteMetadata", delete_all},
    {"readMetadata", read_all},         {"listMetadata", list_all},
    {"describeMetadata", describe_all},
};

enum { OPERATION_COUNT = sizeof(operations) / sizeof(operations[0]) };

static void run(struct call *call, const struct soap *soap)
{
    struct buf out BUF_AUTO = {0};
    struct operation operation = {.call = call, .soap = soap, .out = &out};
    size_t i = 0;

    while (i < OPERATION_COUNT && strcmp(operations[i].name, soap->operation) != 0)
        i++;
    if (i == OPERATION_COUNT) {
        soap_refuse(call, soap, "UNSUPPORTED_OPERATION",
                    "of the Metadata API there are create, read, update, upsert, delete, list and "
                    "describe");
        return;
    }
    buf_init(&out, MAX_ANSWER_BYTES);
    buf_printf(&out, "<%sResponse>", soap->operation);
    operations[i].run(&operation);
    buf_printf(&out, "</%sResponse>", soap->operation);
    soap_answer(call, soap, arena_strdup(call->arena, out.data));
}

void metadata_soap(struct call *call)
{
    struct soap soap;

    soap_read(call, "http://soap.sforce.com/2006/04/metadata", &soap);
    if (soap.session_id == NULL || !oauth_enter(call->org, soap.session_id))
        soap_refuse(call, &soap, "INVALID_SESSION_ID",
                    "Invalid Session ID found in SessionHeader: Illegal Session");
    else if (limits_charge(call))
        run(call, &soap);
}
