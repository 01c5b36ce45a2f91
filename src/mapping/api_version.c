#include "mapping/api_version.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "mapping/connection.h"
#include "mapping/fieldtype.h"
#include "mapping/mapping.h"
#include "mapping/organisation.h"
#include "mapping/schema.h"
#include "mapping/store.h"
#include "mapping/transaction.h"
#include "sf/describe.h"

enum { MESSAGE_MAX_BYTES = 256 * 1024 };

/* What the new version says of the mappings of a schema. */
struct comparison {
    struct pg *pg;
    const char *schema_name;
    struct arena *arena;
    struct organisation *organisation;
    struct mapping_list list;
    json_t *mappings; /* the answer; NULL when columns are changed instead */
    bool is_safe;
};

/* Of one mapping. */
struct verdict {
    struct buf message;
    bool has_changed;
    bool is_unsafe;
};

/* What a field would be; NULL as type when it is gone. */
struct found {
    const struct fieldtype *type;
    const char *column_type;
};

bool api_version_read(const char *text, char out[8], struct error *err)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || (*end != '\0' && strcmp(end, ".0") != 0) || number < 45 || number > 999)
        return error_set(err, ERROR_USAGE,
                         "\"%s\" is no usable API version: give one like 60.0, at least 45.0",
                         text);
    snprintf(out, 8, "%ld.0", number);
    return true;
}

/* ---- comparing ---- */

static const char *find_column_type(const struct mapping *mapping, const struct fieldtype *type,
                                    const struct sf_field *field, struct arena *arena)
{
    const char *column = fieldtype_column(type, field, arena);

    return mapping->is_numeric && strcmp(column, "double precision") == 0 ? "numeric" : column;
}

/* A parent's external id is a field of the parent. */
static bool find_field(struct comparison *comparison, const struct mapping *mapping,
                       const struct mapping_field *field, struct found *found, struct error *err)
{
    bool is_parents = field->reference_object != NULL;
    const struct sf_object *object;

    *found = (struct found){0};
    if (!organisation_describe(comparison->organisation,
                               is_parents ? field->reference_object : mapping->object_name, &object,
                               err))
        return false;
    const struct sf_field *described =
        object != NULL
            ? sf_object_field(object, is_parents ? field->reference_field : field->field_name)
            : NULL;
    if (described == NULL)
        return true;
    found->type = fieldtype_find(described->type);
    if (found->type != NULL && fieldtype_refusal(found->type) != NULL)
        found->type = NULL;
    if (found->type != NULL)
        found->column_type = find_column_type(mapping, found->type, described, comparison->arena);
    return true;
}

static void judge(const struct mapping_field *field, const struct found *found,
                  struct verdict *verdict)
{
    if (found->type == NULL) {
        verdict->has_changed = verdict->is_unsafe = true;
        buf_printf(&verdict->message, "%s is no longer there: unmap it first\n", field->field_name);
        return;
    }
    if (strcmp(found->column_type, field->column_type) == 0)
        return;
    verdict->has_changed = true;
    if (schema_is_wider(field->column_type, found->column_type)) {
        buf_printf(&verdict->message, "%s will grow from %s to %s\n", field->field_name,
                   field->column_type, found->column_type);
        return;
    }
    verdict->is_unsafe = true;
    buf_printf(&verdict->message, "%s would change from %s to %s: unmap it first\n",
               field->field_name, field->column_type, found->column_type);
}

static void add_verdict(struct comparison *comparison, const struct mapping *mapping,
                        const struct verdict *verdict)
{
    if (verdict->is_unsafe)
        comparison->is_safe = false;
    if (comparison->mappings == NULL)
        return;
    json_array_append_new(comparison->mappings,
                          json_pack("{s:s, s:b, s:b, s:b, s:s}", "name", mapping->object_name,
                                    "fields_have_changed", verdict->has_changed,
                                    "has_unsafe_changes", verdict->is_unsafe, "action_undetermined",
                                    0, "result_message", verdict->message.data));
}

static bool compare_one(struct comparison *comparison, const struct mapping *mapping,
                        struct error *err)
{
    struct verdict verdict = {0};
    bool is_ok = true;

    buf_init(&verdict.message, MESSAGE_MAX_BYTES);
    for (size_t i = 0; is_ok && i < mapping->field_count; i++) {
        struct found found;

        is_ok = find_field(comparison, mapping, &mapping->fields[i], &found, err);
        if (is_ok)
            judge(&mapping->fields[i], &found, &verdict);
    }
    if (is_ok)
        add_verdict(comparison, mapping, &verdict);
    buf_done(&verdict.message);
    return is_ok;
}

static bool compare(struct comparison *comparison, struct error *err)
{
    comparison->is_safe = true;
    if (!mapping_load_all(comparison->pg, comparison->schema_name, comparison->arena,
                          &comparison->list, err))
        return false;
    for (size_t i = 0; i < comparison->list.count; i++)
        if (!compare_one(comparison, &comparison->list.items[i], err))
            return false;
    return true;
}

bool api_version_compare(struct pg *pg, const char *schema_name, struct sf_session *session,
                         struct api_version_diff *diff, struct error *err)
{
    struct comparison comparison = {
        .pg = pg, .schema_name = schema_name, .arena = arena_new(), .mappings = json_array()};

    comparison.organisation = organisation_new(session, comparison.arena);
    bool is_ok = compare(&comparison, err);
    *diff = (struct api_version_diff){comparison.mappings, comparison.is_safe};
    arena_free(comparison.arena);
    return is_ok;
}

bool api_version_syncing(struct pg *pg, const char *schema_name, json_t **names, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select object_name from pgforce.mapping"
                 " where schema_name = $1 and not is_orphan"
                 " and (operation is not null or state in ('INITIAL', 'RELOAD_TABLE',"
                 " 'RESYNC'))"
                 " order by object_name",
                 PG_PARAMS(schema_name), err);

    *names = json_array();
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++)
        json_array_append_new(*names, json_string(pg_field(result, i, 0)));
    return true;
}

/* ---- changing ---- */

struct change {
    struct comparison comparison;
    const char *version;
};

static bool change_field(struct comparison *comparison, const struct mapping *mapping,
                         const struct mapping_field *old, struct error *err)
{
    struct mapping_field field = *old;
    struct found found;

    if (!find_field(comparison, mapping, old, &found, err))
        return false;
    if (found.type == NULL)
        return error_set(err, ERROR_CONFIG, "%s.%s is no longer there: unmap it first",
                         mapping->object_name, old->field_name);
    bool is_same = strcmp(found.column_type, old->column_type) == 0;
    if (is_same && found.type == old->type)
        return true;
    if (!is_same && !schema_is_wider(old->column_type, found.column_type))
        return error_set(err, ERROR_CONFIG, "%s.%s would change from %s to %s: unmap it first",
                         mapping->object_name, old->field_name, old->column_type,
                         found.column_type);
    field.type = found.type;
    field.column_type = found.column_type;
    return (is_same || schema_widen_column(comparison->pg, mapping, &field, err)) &&
           store_update_field(comparison->pg, mapping->id, &field, err);
}

/* Whatever was compared before is compared again here: what is done is what is so now. */
static bool change_all(void *context, struct error *err)
{
    struct change *change = context;
    struct comparison *comparison = &change->comparison;

    if (!mapping_load_all(comparison->pg, comparison->schema_name, comparison->arena,
                          &comparison->list, err))
        return false;
    for (size_t i = 0; i < comparison->list.count; i++)
        for (size_t j = 0; j < comparison->list.items[i].field_count; j++)
            if (!change_field(comparison, &comparison->list.items[i],
                              &comparison->list.items[i].fields[j], err))
                return false;
    return pg_run(comparison->pg,
                  "update pgforce.connection set api_version = $2 where schema_name = $1",
                  PG_PARAMS(comparison->schema_name, change->version), err);
}

bool api_version_change(struct pg *pg, const char *schema_name, struct sf_session *session,
                        struct error *err)
{
    struct change change = {
        .comparison = {.pg = pg, .schema_name = schema_name, .arena = arena_new()},
        .version = sf_session_api_version(session)};
    struct transaction transaction = {.schema_name = schema_name,
                                      .body = change_all,
                                      .context = &change,
                                      .reason = CONNECTION_NEW_VERSION};

    change.comparison.organisation = organisation_new(session, change.comparison.arena);
    /* The organisation is asked before any table is locked: its answers are kept. */
    bool is_ok = compare(&change.comparison, err) && transaction_run(pg, &transaction, err);
    arena_free(change.comparison.arena);
    return is_ok;
}
