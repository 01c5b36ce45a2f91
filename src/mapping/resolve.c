#include "mapping/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mapping/lost_create.h"
#include "mapping/mask.h"
#include "sf/describe.h"

/* One entry on its way to a mapping. */
struct resolver {
    const struct resolve_org *org;
    struct arena *arena;
    struct resolve_result *result;
    const struct import_entry *entry;
    size_t position; /* of the entry in its file */
    const struct sf_object *object;
    struct mapping *mapping;
    bool allows_missing;
    const char *missing; /* the first thing of the entry that the organisation lacks; else NULL */
};

#define problem(resolver, ...) add_problem(resolver, arena_printf((resolver)->arena, __VA_ARGS__))
/* What the organisation may have one day. */
#define missing(resolver, ...) note_missing(resolver, arena_printf((resolver)->arena, __VA_ARGS__))
#define warning(resolver, ...) import_problem(&(resolver)->result->warnings, __VA_ARGS__)

static void add_problem(struct resolver *resolver, const char *what)
{
    import_problem(&resolver->result->problems, "mappings[%zu]: %s", resolver->position, what);
}

static void note_missing(struct resolver *resolver, const char *what)
{
    if (!resolver->allows_missing)
        problem(resolver, "%s", what);
    if (resolver->missing == NULL)
        resolver->missing = what;
}

/* Kinds of objects that have no table, by the end of their names. */
static const struct {
    const char *suffix;
    const char *what;
} unmappable_objects[] = {
    {"__b", "a big object"},           {"__e", "a platform event"},
    {"__x", "an external object"},     {"__kav", "a knowledge article"},
    {"ChangeEvent", "a change event"},
};

const char *resolve_refusal(const char *object_name)
{
    size_t length = strlen(object_name);

    if (strcasecmp(object_name, "KnowledgeArticleVersion") == 0)
        return "a knowledge article";
    for (size_t i = 0; i < sizeof(unmappable_objects) / sizeof(unmappable_objects[0]); i++) {
        size_t size = strlen(unmappable_objects[i].suffix);
        if (length > size &&
            strcasecmp(object_name + length - size, unmappable_objects[i].suffix) == 0)
            return unmappable_objects[i].what;
    }
    return NULL;
}

static const struct fieldtype *check_type(struct resolver *resolver, const struct sf_field *field,
                                          const char *name)
{
    const struct fieldtype *type = fieldtype_find(field->type);

    if (type == NULL)
        problem(resolver, "%s.%s is of the type %s, which pgforce does not know: leave it out",
                resolver->object->name, name, field->type);
    else if (fieldtype_refusal(type) != NULL)
        problem(resolver, "%s.%s is of the type %s: %s", resolver->object->name, name, field->type,
                fieldtype_refusal(type));
    else
        return type;
    return NULL;
}

/* Room for every field of the entry and the three that every mapping needs was made before. */
static void add_field(struct resolver *resolver, const struct mapping_field *field)
{
    struct mapping *mapping = resolver->mapping;
    const struct mapping_field *twin = mapping_field_by_column(mapping, field->column_name);

    if (twin != NULL && strcasecmp(twin->field_name, field->field_name) == 0)
        return;
    if (twin != NULL) {
        problem(resolver, "%s.%s and %s would share the column %s: leave one of them out",
                mapping->object_name, twin->field_name, field->field_name, field->column_name);
        return;
    }
    mapping->fields[mapping->field_count++] = *field;
}

/* numeric keeps every digit, where double precision, Heroku Connect's, keeps about fifteen. */
static const char *column_type(const struct resolver *resolver, const struct fieldtype *type,
                               const struct sf_field *field)
{
    const char *column = fieldtype_column(type, field, resolver->arena);

    return resolver->mapping->is_numeric && strcmp(column, "double precision") == 0 ? "numeric"
                                                                                    : column;
}

static void add_own_field(struct resolver *resolver, const struct sf_field *field)
{
    const struct fieldtype *type = check_type(resolver, field, field->name);

    if (type == NULL)
        return;
    const char *column = strcasecmp(field->name, "Id") == 0
                             ? "sfid"
                             : mapping_identifier(field->name, resolver->arena);
    add_field(resolver, &(struct mapping_field){
                            .field_name = arena_strdup(resolver->arena, field->name),
                            .column_name = column,
                            .type = type,
                            .column_type = column_type(resolver, type, field),
                            .soql_path = arena_strdup(resolver->arena, field->name),
                            .is_createable = field->is_createable,
                            .is_updateable = field->is_updateable,
                            .is_calculated = field->is_calculated,
                            .mask = mask_describe(field, resolver->arena),
                            .is_system = mapping_is_system_column(column),
                        });
}

/* "Account__" before the rest of name; NULL when name does not begin so. */
static const char *strip_prefix(const char *name, const char *prefix)
{
    size_t size = prefix != NULL ? strlen(prefix) : 0;

    if (size == 0 || strncasecmp(name, prefix, size) != 0 || strncmp(name + size, "__", 2) != 0)
        return NULL;
    return name + size + 2;
}

/*
 * A parent's external id is spelled <relationship>__<field>: Account__ExternalId__c,
 * Parent__r__Ext__c. One template in the wild spells the lookup field in place of the relationship.
 */
static const char *external_id_part(const char *name, const struct sf_field *lookup)
{
    const char *rest = strip_prefix(name, lookup->relationship_name);

    return rest != NULL ? rest : strip_prefix(name, lookup->name);
}

static void add_parent_field(struct resolver *resolver, const char *name,
                             const struct sf_field *lookup, const struct sf_object *parent,
                             const struct sf_field *external_id)
{
    struct arena *arena = resolver->arena;
    const struct fieldtype *type = check_type(resolver, external_id, name);

    if (type == NULL)
        return;
    add_field(resolver, &(struct mapping_field){
                            .field_name = arena_strdup(arena, name),
                            .column_name = mapping_identifier(name, arena),
                            .type = type,
                            .column_type = fieldtype_column(type, external_id, arena),
                            .soql_path = arena_printf(arena, "%s.%s", lookup->relationship_name,
                                                      external_id->name),
                            .is_createable = lookup->is_createable,
                            .is_updateable = lookup->is_updateable,
                            .relationship_name = arena_strdup(arena, lookup->relationship_name),
                            .reference_object = arena_strdup(arena, parent->name),
                            .reference_field = arena_strdup(arena, external_id->name),
                        });
}

/* Whether the name turned out to be a reference through this lookup, well or badly. */
static bool try_lookup(struct resolver *resolver, const char *name, const struct sf_field *lookup,
                       bool *is_found, struct error *err)
{
    const char *rest = external_id_part(name, lookup);
    const struct sf_object *parent = NULL;

    *is_found = rest != NULL && lookup->relationship_name != NULL && lookup->reference_count > 0;
    if (!*is_found)
        return true;
    if (lookup->reference_count > 1) {
        problem(resolver, "%s.%s goes through %s, which refers to several objects: map %s instead",
                resolver->object->name, name, lookup->relationship_name, lookup->name);
        return true;
    }
    if (!resolver->org->describe(resolver->org->context, lookup->reference_to[0], &parent, err))
        return false;
    const struct sf_field *field = parent != NULL ? sf_object_field(parent, rest) : NULL;
    if (field == NULL)
        missing(resolver, "%s.%s: %s has no field %s (or the integration user may not see it)",
                resolver->object->name, name, lookup->reference_to[0], rest);
    else if (!field->is_external_id && !field->is_id_lookup)
        problem(resolver, "%s.%s: %s.%s is not an external id; tick External ID in Salesforce",
                resolver->object->name, name, parent->name, field->name);
    else
        add_parent_field(resolver, name, lookup, parent, field);
    return true;
}

static bool resolve_field(struct resolver *resolver, const char *name, struct error *err)
{
    const struct sf_object *object = resolver->object;
    const struct sf_field *own = sf_object_field(object, name);
    bool is_found = false;

    if (own != NULL) {
        add_own_field(resolver, own);
        return true;
    }
    for (size_t i = 0; i < object->field_count && !is_found; i++)
        if (!try_lookup(resolver, name, &object->fields[i], &is_found, err))
            return false;
    if (!is_found)
        missing(resolver,
                "%s.%s does not exist (or the integration user may not see it): leave it out or "
                "grant it",
                object->name, name);
    return true;
}

/* Polls need a stamp; the first of these that the object has. */
static void add_needed_fields(struct resolver *resolver)
{
    static const char *const stamps[] = {"SystemModstamp", "LastModifiedDate", "CreatedDate"};
    const struct sf_object *object = resolver->object;
    const struct sf_field *id = sf_object_field(object, "Id");
    const struct sf_field *is_deleted = sf_object_field(object, "IsDeleted");
    const struct sf_field *stamp = NULL;

    for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]) && stamp == NULL; i++)
        stamp = sf_object_field(object, stamps[i]);
    if (id == NULL || stamp == NULL) {
        problem(resolver, "%s has no %s, so its changes cannot be found: leave it out",
                object->name, id == NULL ? "Id" : "SystemModstamp");
        return;
    }
    add_own_field(resolver, id);
    add_own_field(resolver, stamp);
    if (is_deleted != NULL)
        add_own_field(resolver, is_deleted);
    resolver->mapping->has_isdeleted = is_deleted != NULL;
}

static bool is_named(const struct import_entry *entry, const char *field_name)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (strcasecmp(entry->field_names[i], field_name) == 0)
            return true;
    return false;
}

static bool is_traced(const struct import_entry *entry)
{
    return strcmp(entry->lost_create, "receipt") == 0 || strcmp(entry->lost_create, "marker") == 0;
}

/* What creates that no unique identifier protects are to leave in the organisation. */
static bool check_lost_create(struct resolver *resolver, struct error *err)
{
    const struct import_entry *entry = resolver->entry;
    const struct sf_object *receipt = NULL;
    const char *what = NULL;

    if (entry->access != MAPPING_READ_WRITE || !is_traced(entry))
        return true;
    if (entry->marker_field != NULL)
        what = lost_create_marker_problem(resolver->object, entry->marker_field, resolver->arena);
    else if (!resolver->org->describe(resolver->org->context, LOST_CREATE_RECEIPT, &receipt, err))
        return false;
    else
        what = lost_create_receipt_problem(receipt, resolver->arena);
    if (what != NULL)
        problem(resolver, "%s: %s", resolver->object->name, what);
    return true;
}

static void check_upsert_field(struct resolver *resolver)
{
    struct mapping *mapping = resolver->mapping;
    const char *name = resolver->entry->upsert_field;
    const struct sf_object *object = resolver->object;
    const struct sf_field *field = name != NULL ? sf_object_field(object, name) : NULL;

    if (name == NULL && mapping->access == MAPPING_READ_WRITE && !is_traced(resolver->entry))
        warning(resolver,
                "%s is read_write without upsert_field: a lost answer may make a second record; "
                "choose a unique external id, or lost_create \"receipt\" or \"marker\"",
                object->name);
    if (name == NULL || !is_named(resolver->entry, name))
        return;
    if (field == NULL)
        missing(resolver, "%s: upsert_field %s does not exist", object->name, name);
    else if (!field->is_external_id || !field->is_unique)
        problem(resolver,
                "%s: upsert_field %s is not a unique external id; tick External ID and Unique in "
                "Salesforce, or leave upsert_field out",
                object->name, field->name);
    else
        mapping->upsert_field = arena_strdup(resolver->arena, field->name);
}

/* A unique index on values that Salesforce lets repeat would stop the load. */
static bool may_be_unique(const struct resolver *resolver, const struct mapping_field *field)
{
    const struct sf_field *own = sf_object_field(resolver->object, field->field_name);

    return own != NULL && (own->is_unique || strcmp(field->column_name, "sfid") == 0);
}

static void resolve_indexes(struct resolver *resolver)
{
    const struct import_entry *entry = resolver->entry;
    struct mapping *mapping = resolver->mapping;

    mapping->indexes = arena_array(resolver->arena, struct mapping_index, entry->index_count);
    for (size_t i = 0; i < entry->index_count; i++) {
        const struct import_index *index = &entry->indexes[i];
        const struct mapping_field *field = mapping_field_by_name(mapping, index->field_name);
        if (field == NULL && resolver->missing != NULL && resolver->allows_missing)
            continue;
        if (field == NULL)
            problem(resolver, "%s: the index on %s needs that field: add it to the fields",
                    mapping->object_name, index->field_name);
        else if (index->is_unique && !may_be_unique(resolver, field))
            problem(resolver,
                    "%s: the index on %s cannot be unique, because Salesforce does not keep the "
                    "field unique: set unique to false",
                    mapping->object_name, field->field_name);
        else
            mapping->indexes[mapping->index_count++] =
                (struct mapping_index){field->column_name, index->is_unique};
    }
}

static void check_access(struct resolver *resolver)
{
    const struct sf_object *object = resolver->object;

    if (resolver->mapping->access == MAPPING_READ_WRITE && !object->is_createable &&
        !object->is_updateable)
        warning(resolver,
                "%s is read_write, but the integration user may neither create nor update it: "
                "every write will fail",
                object->name);
}

static int compare_columns(const void *left, const void *right)
{
    const struct mapping_field *a = left;
    const struct mapping_field *b = right;
    int is_id = strcmp(b->column_name, "sfid") == 0;
    int was_id = strcmp(a->column_name, "sfid") == 0;

    return was_id != is_id ? is_id - was_id : strcmp(a->column_name, b->column_name);
}

static void start_mapping(struct resolver *resolver)
{
    const struct import_entry *entry = resolver->entry;

    *resolver->mapping = (struct mapping){
        .object_name = arena_strdup(resolver->arena, resolver->object->name),
        .table_name = mapping_identifier(resolver->object->name, resolver->arena),
        .state = "INITIAL",
        .access = entry->access,
        .polling_seconds = entry->polling_seconds,
        .max_daily_api_calls = entry->max_daily_api_calls,
        .is_notified = entry->is_notified,
        .fields = arena_array(resolver->arena, struct mapping_field, entry->field_count + 3),
        .filter = entry->filter,
        .is_numeric = entry->is_numeric,
        .config = arena_strdup(resolver->arena, entry->config),
        .extra = arena_strdup(resolver->arena, entry->extra),
    };
}

static bool resolve_fields(struct resolver *resolver, struct error *err)
{
    struct mapping *mapping = resolver->mapping;

    for (size_t i = 0; i < resolver->entry->field_count; i++)
        if (!resolve_field(resolver, resolver->entry->field_names[i], err))
            return false;
    add_needed_fields(resolver);
    qsort(mapping->fields, mapping->field_count, sizeof(mapping->fields[0]), compare_columns);
    check_upsert_field(resolver);
    resolve_indexes(resolver);
    check_access(resolver);
    return check_lost_create(resolver, err);
}

/* Kept for the day when the organisation has what is missing. */
static void keep_orphan(struct resolver *resolver, const char *object_name)
{
    struct mapping *mapping = resolver->mapping;

    mapping->object_name = arena_strdup(resolver->arena, object_name);
    mapping->table_name = mapping_identifier(object_name, resolver->arena);
    mapping->state = "SYSTEM_ERROR";
    mapping->state_description = resolver->missing;
    mapping->is_orphan = true;
    mapping->field_count = 0;
    mapping->index_count = 0;
    mapping->upsert_field = resolver->entry->upsert_field;
}

static bool resolve_missing_object(struct resolver *resolver, const char *name)
{
    missing(resolver,
            "%s does not exist in the organisation (or the integration user may not see it): leave"
            " it out or grant it",
            name);
    if (!resolver->allows_missing)
        return true;
    const struct sf_object nothing = {.name = name};
    resolver->object = &nothing;
    resolver->mapping = &resolver->result->list.items[resolver->result->list.count++];
    start_mapping(resolver);
    keep_orphan(resolver, name);
    resolver->object = NULL;
    return true;
}

static bool resolve_entry(struct resolver *resolver, struct error *err)
{
    const char *name = resolver->entry->object_name;
    const char *kind = resolve_refusal(name);

    const char *upsert_field = resolver->entry->upsert_field;

    resolver->missing = NULL;
    if (upsert_field != NULL && !is_named(resolver->entry, upsert_field))
        problem(resolver, "%s: upsert_field %s is not among the fields: add it", name,
                upsert_field);

    if (kind != NULL) {
        problem(resolver, "%s is %s, which cannot be mapped: leave it out", name, kind);
        return true;
    }
    resolver->object = NULL;
    if (!resolver->org->describe(resolver->org->context, name, &resolver->object, err))
        return false;
    if (resolver->object == NULL)
        return resolve_missing_object(resolver, name);
    resolver->mapping = &resolver->result->list.items[resolver->result->list.count++];
    start_mapping(resolver);
    if (!resolve_fields(resolver, err))
        return false;
    if (resolver->missing != NULL)
        keep_orphan(resolver, resolver->object->name);
    return true;
}

static bool is_twice(const struct import *import, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcasecmp(import->entries[i].object_name, import->entries[index].object_name) == 0)
            return true;
    return false;
}

static int compare_objects(const void *left, const void *right)
{
    return strcmp(((const struct mapping *)left)->object_name,
                  ((const struct mapping *)right)->object_name);
}

bool resolve_import(const struct import *import, const struct resolve_org *org, struct arena *arena,
                    struct resolve_result *result, struct error *err)
{
    struct resolver resolver = {
        .org = org, .arena = arena, .result = result, .allows_missing = org->allows_missing};

    *result = (struct resolve_result){.problems.arena = arena, .warnings.arena = arena};
    result->list.items = arena_array(arena, struct mapping, import->entry_count);
    for (size_t i = 0; i < import->entry_count; i++) {
        resolver.entry = &import->entries[i];
        resolver.position = i;
        if (is_twice(import, i))
            problem(&resolver, "%s is there twice: leave one of them out",
                    resolver.entry->object_name);
        else if (!resolve_entry(&resolver, err))
            return false;
    }
    if (!import_problems_end(&result->problems, "nothing was imported", err))
        return false;
    qsort(result->list.items, result->list.count, sizeof(struct mapping), compare_objects);
    for (size_t i = 0; i < result->list.count; i++)
        if (!result->list.items[i].is_orphan && !mapping_bind(&result->list.items[i], err))
            return false;
    return true;
}
