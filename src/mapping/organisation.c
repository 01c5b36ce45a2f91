#include "mapping/organisation.h"

#include <string.h>
#include <strings.h>

#include "mapping/fieldtype.h"
#include "sf/describe.h"
#include "sf/rest.h"
#include "sf/soql.h"

enum { SOQL_MAX_BYTES = 16 * 1024 };

struct organisation {
    struct sf_session *session;
    struct arena *arena;
    struct described {
        struct described *next;
        const char *name;
        const struct sf_object *object;
    } * first;
};

struct organisation *organisation_new(struct sf_session *session, struct arena *arena)
{
    struct organisation *organisation = arena_alloc(arena, sizeof(*organisation));

    organisation->session = session;
    organisation->arena = arena;
    return organisation;
}

static bool ask(struct organisation *organisation, struct described *described, struct error *err)
{
    struct sf_object *object = arena_alloc(organisation->arena, sizeof(*object));

    if (sf_describe(organisation->session, described->name, organisation->arena, object, err))
        described->object = object;
    else if (err->kind != ERROR_RECORD)
        return false;
    return true;
}

bool organisation_describe(struct organisation *organisation, const char *object_name,
                           const struct sf_object **object, struct error *err)
{
    struct described *described = organisation->first;

    while (described != NULL && strcasecmp(described->name, object_name) != 0)
        described = described->next;
    if (described == NULL) {
        described = arena_alloc(organisation->arena, sizeof(*described));
        described->name = arena_strdup(organisation->arena, object_name);
        if (!ask(organisation, described, err))
            return false;
        described->next = organisation->first;
        organisation->first = described;
    }
    *object = described->object;
    return true;
}

static bool describe(void *context, const char *object_name, const struct sf_object **object,
                     struct error *err)
{
    return organisation_describe(context, object_name, object, err);
}

struct resolve_org organisation_resolver(struct organisation *organisation)
{
    return (struct resolve_org){.describe = describe, .context = organisation};
}

bool organisation_count(struct organisation *organisation, const char *object_name,
                        const char *filter, int64_t *count, struct error *err)
{
    struct buf soql BUF_AUTO = {0};

    *count = 0;
    if (!soql_is_name(object_name))
        return error_set(err, ERROR_CONFIG, "\"%.60s\" is no name of an object", object_name);
    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select count() from %s", object_name);
    if (filter != NULL)
        buf_printf(&soql, " where (%s)", filter);
    return sf_count(organisation->session, soql.data, count, err);
}

static bool holds(const char *text, const char *search)
{
    return text != NULL && strcasestr(text, search) != NULL;
}

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

/* What describeGlobal tells of it; the stamp is only known from its own description. */
static const char *refuse_object(const struct sf_object *object)
{
    const char *kind = resolve_refusal(object->name);

    if (kind != NULL)
        return kind;
    if (!object->is_queryable)
        return "it cannot be queried";
    return object->is_deprecated ? "it is deprecated and hidden" : NULL;
}

bool organisation_objects(struct organisation *organisation, const char *search, json_t **out,
                          struct error *err)
{
    struct sf_object_list list;

    *out = NULL;
    if (!sf_describe_global(organisation->session, organisation->arena, &list, err))
        return false;
    *out = json_array();
    for (size_t i = 0; i < list.count; i++) {
        const struct sf_object *object = &list.objects[i];
        const char *reason = refuse_object(object);
        if (search != NULL && !holds(object->name, search) && !holds(object->label, search))
            continue;
        json_array_append_new(*out, json_pack("{s:s, s:o, s:b, s:o}", "name", object->name, "label",
                                              text_or_null(object->label), "is_mappable",
                                              reason == NULL, "reason", text_or_null(reason)));
    }
    return true;
}

static json_t *pack_field(const struct sf_field *field, const char *name, struct arena *arena)
{
    const struct fieldtype *type = fieldtype_find(field->type);
    const char *reason = type == NULL ? "pgforce does not know its type" : fieldtype_refusal(type);
    const char *column = strcasecmp(name, "Id") == 0 ? "sfid" : mapping_identifier(name, arena);

    return json_pack(
        "{s:s, s:o, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:b, s:b, s:o}", "name", name, "label",
        text_or_null(field->label), "type", field->type, "column", column, "column_type",
        text_or_null(reason == NULL ? fieldtype_column(type, field, arena) : NULL), "is_required",
        !field->is_nillable && field->is_createable && !field->is_defaulted_on_create,
        "is_external_id", field->is_external_id, "is_unique", field->is_unique, "is_createable",
        field->is_createable, "is_updateable", field->is_updateable, "is_mappable", reason == NULL,
        "reason", text_or_null(reason));
}

/* The parent's external ids, as the fields by which a child can name it. */
static bool add_parent_fields(struct organisation *organisation, const struct sf_field *lookup,
                              json_t *out, struct error *err)
{
    const struct sf_object *parent = NULL;

    if (lookup->relationship_name == NULL || lookup->reference_count != 1)
        return true;
    if (!organisation_describe(organisation, lookup->reference_to[0], &parent, err))
        return false;
    for (size_t i = 0; parent != NULL && i < parent->field_count; i++) {
        const struct sf_field *field = &parent->fields[i];
        if (field->is_external_id)
            json_array_append_new(out,
                                  pack_field(field,
                                             arena_printf(organisation->arena, "%s__%s",
                                                          lookup->relationship_name, field->name),
                                             organisation->arena));
    }
    return true;
}

bool organisation_fields(struct organisation *organisation, const char *object_name, json_t **out,
                         struct error *err)
{
    const struct sf_object *object = NULL;

    *out = NULL;
    if (!organisation_describe(organisation, object_name, &object, err))
        return false;
    if (object == NULL)
        return error_set(err, ERROR_CONFIG,
                         "the organisation has no object %.60s, or the integration user may not"
                         " see it (`pgforce objects`)",
                         object_name);
    json_t *fields = json_array();
    for (size_t i = 0; i < object->field_count; i++) {
        json_array_append_new(
            fields, pack_field(&object->fields[i], object->fields[i].name, organisation->arena));
        if (!add_parent_fields(organisation, &object->fields[i], fields, err)) {
            json_decref(fields);
            return false;
        }
    }
    *out = fields;
    return true;
}
