#include "mapping/survey.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mapping/mask.h"
#include "mapping/move.h"
#include "mapping/organisation.h"
#include "mapping/schema.h"
#include "sf/describe.h"

struct survey {
    struct pg *pg;
    const struct mapping *mapping;
    struct organisation *organisation;
    const struct sf_object *object;
    struct arena *arena;
    bool *is_missing; /* by field */
    json_t *report;   /* {"missing": [...], "changed": [...], "offered": [...]} */
};

static void decref_json(json_t **json)
{
    json_decref(*json);
}

static void note(struct survey *survey, const char *list, const char *text)
{
    json_array_append_new(json_object_get(survey->report, list), json_string(text));
}

/* ---- looking ---- */

static const struct sf_field *find_lookup(const struct sf_object *object,
                                          const char *relationship_name)
{
    for (size_t i = 0; i < object->field_count; i++) {
        const char *name = object->fields[i].relationship_name;

        if (name != NULL && strcasecmp(name, relationship_name) == 0)
            return &object->fields[i];
    }
    return NULL;
}

/* *found is NULL when the field, or the parent that has it, is gone. */
static bool find_field(const struct survey *survey, const struct mapping_field *field,
                       const struct sf_field **found, struct error *err)
{
    const struct sf_object *parent;

    *found = NULL;
    if (field->relationship_name == NULL) {
        *found = sf_object_field(survey->object, field->field_name);
        return true;
    }
    if (find_lookup(survey->object, field->relationship_name) == NULL)
        return true;
    if (!organisation_describe(survey->organisation, field->reference_object, &parent, err))
        return false;
    *found = parent != NULL ? sf_object_field(parent, field->reference_field) : NULL;
    return true;
}

static bool is_masked_otherwise(const struct survey *survey, const struct mapping_field *field,
                                const struct sf_field *found)
{
    const char *mask = mask_describe(found, survey->arena);

    return mask != NULL && (field->mask == NULL || strcmp(mask, field->mask) != 0);
}

/* A text that became shorter still fits; one that became longer grows by itself, when it must. */
static bool is_other_type(const struct survey *survey, const struct mapping_field *field,
                          const struct sf_field *found)
{
    const struct fieldtype *type = fieldtype_find(found->type);

    if (type == NULL || fieldtype_refusal(type) != NULL)
        return true;
    const char *wanted = fieldtype_column(type, found, survey->arena);
    if (schema_is_text(field->column_type) && schema_is_text(wanted))
        return is_masked_otherwise(survey, field, found) ||
               schema_is_wider(field->column_type, wanted);
    return type != field->type;
}

static bool look_at_field(struct survey *survey, size_t index, struct error *err)
{
    const struct mapping_field *field = &survey->mapping->fields[index];
    const struct sf_field *found;

    if (!find_field(survey, field, &found, err))
        return false;
    survey->is_missing[index] = found == NULL && !field->is_system;
    if (survey->is_missing[index])
        note(survey, "missing", field->field_name);
    else if (found != NULL && is_other_type(survey, field, found))
        note(survey, "changed", field->field_name);
    return true;
}

static void look_for_new(struct survey *survey)
{
    for (size_t i = 0; i < survey->object->field_count; i++) {
        const struct sf_field *field = &survey->object->fields[i];
        const struct fieldtype *type = fieldtype_find(field->type);

        if (type != NULL && fieldtype_refusal(type) == NULL &&
            mapping_field_by_name(survey->mapping, field->name) == NULL)
            note(survey, "offered", field->name);
    }
}

/* ---- storing ---- */

/* One that is back has missed what was changed meanwhile. */
static bool store_field(const struct survey *survey, size_t index, struct error *err)
{
    const struct mapping_field *field = &survey->mapping->fields[index];
    bool is_missing = survey->is_missing[index];

    if (is_missing == field->is_missing)
        return true;
    log_warning(is_missing ? "a field is gone from the organisation"
                           : "a field is back in the organisation",
                log_text("mapping", survey->mapping->object_name),
                log_text("field", field->field_name));
    return pg_run(
        survey->pg,
        "update pgforce.mapping_field"
        " set is_missing = $3, is_filled = is_filled and ($3 or not is_missing)"
        " where mapping_id = $1 and column_name = $2",
        PG_PARAMS(pg_number(survey->mapping->id).text, field->column_name, is_missing ? "t" : "f"),
        err);
}

static bool store_report(const struct survey *survey, struct error *err)
{
    char *text = json_dumps(survey->report, JSON_COMPACT);
    bool is_ok = pg_run(survey->pg,
                        "update pgforce.mapping set survey = $2"
                        " where id = $1 and survey is distinct from $2::jsonb",
                        PG_PARAMS(pg_number(survey->mapping->id).text, text), err);

    free(text);
    return is_ok;
}

static bool has_returned(const struct survey *survey)
{
    for (size_t i = 0; i < survey->mapping->field_count; i++)
        if (survey->mapping->fields[i].is_missing && !survey->is_missing[i])
            return true;
    return false;
}

static bool has_changed_fields(const struct survey *survey)
{
    for (size_t i = 0; i < survey->mapping->field_count; i++)
        if (survey->mapping->fields[i].is_missing != survey->is_missing[i])
            return true;
    return false;
}

/* All roles read other fields from now on. */
static bool wake_roles(const struct survey *survey, struct error *err)
{
    return !has_changed_fields(survey) ||
           pg_run(survey->pg, "select pg_notify($1 || '.pgforce_mapping', 'survey')",
                  PG_PARAMS(survey->mapping->schema_name), err);
}

/* One that is loading, or stopped, comes to it afterwards: the column waits. */
static bool ask_for_values(const struct survey *survey, struct error *err)
{
    bool is_made;

    return move_try(
        survey->pg,
        &(struct move){.mapping_id = survey->mapping->id, .event = STATE_RETURN, .to = "RESYNC"},
        &is_made, err);
}

static bool store(const struct survey *survey, struct error *err)
{
    if (!pg_script(survey->pg, "begin", err) || !store_report(survey, err))
        return false;
    for (size_t i = 0; i < survey->mapping->field_count; i++)
        if (!store_field(survey, i, err))
            return false;
    return (!has_returned(survey) || ask_for_values(survey, err)) && wake_roles(survey, err) &&
           pg_script(survey->pg, "commit", err);
}

static bool take(struct survey *survey, bool *has_changed, struct error *err)
{
    const struct mapping *mapping = survey->mapping;

    if (!organisation_describe(survey->organisation, mapping->object_name, &survey->object, err))
        return false;
    if (survey->object == NULL)
        return true;
    survey->is_missing = arena_array(survey->arena, bool, mapping->field_count + 1);
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!look_at_field(survey, i, err))
            return false;
    look_for_new(survey);
    if (!store(survey, err)) {
        pg_rollback(survey->pg);
        return false;
    }
    *has_changed = has_changed_fields(survey);
    return true;
}

/* The mapping as it was loaded may lack its missing fields: they are read again. */
static bool load_whole(struct survey *survey, int64_t mapping_id, const char *schema_name,
                       struct error *err)
{
    struct mapping_list list;

    if (!mapping_load_all(survey->pg, schema_name, survey->arena, &list, err))
        return false;
    survey->mapping = NULL;
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].id == mapping_id)
            survey->mapping = &list.items[i];
    return survey->mapping != NULL || error_set(err, ERROR_RETRY, "the mapping is gone");
}

bool survey_take(struct pg *pg, struct sf_session *session, const struct mapping *mapping,
                 bool *has_changed, struct error *err)
{
    struct arena *arena = arena_new();
    json_t *report __attribute__((cleanup(decref_json))) =
        json_pack("{s:[], s:[], s:[]}", "missing", "changed", "offered");
    struct survey survey = {.pg = pg,
                            .organisation = organisation_new(session, arena),
                            .arena = arena,
                            .report = report};

    *has_changed = false;
    bool is_ok = load_whole(&survey, mapping->id, mapping->schema_name, err) &&
                 take(&survey, has_changed, err);
    arena_free(arena);
    return is_ok;
}

/* ---- leaving out ---- */

static bool leave_out(struct mapping *mapping, struct arena *arena, struct error *err)
{
    const char *names = "";
    size_t kept = 0;

    for (size_t i = 0; i < mapping->field_count; i++) {
        struct mapping_field *field = &mapping->fields[i];

        if (!field->is_missing) {
            mapping->fields[kept++] = *field;
            continue;
        }
        names =
            arena_printf(arena, "%s%s%s", names, names[0] != '\0' ? ", " : "", field->field_name);
        if (field == mapping->upsert)
            mapping->upsert_field = NULL;
    }
    if (kept == mapping->field_count)
        return true;
    mapping->field_count = kept;
    mapping->note = arena_printf(arena,
                                 "the organisation no longer has, or no longer shows, these fields:"
                                 " %s. Their columns stay as they were",
                                 names);
    return mapping_bind(mapping, err);
}

bool survey_leave_out(struct mapping_list *list, struct arena *arena, struct error *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (!leave_out(&list->items[i], arena, err))
            return false;
    return true;
}
