#include "control/checks_org.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mapping/lost_create.h"
#include "sf/describe.h"
#include "sf/rest.h"
#include "sf/soql.h"

enum {
    VERSIONS_BEHIND = 9, /* three years of three releases each */
    LIMIT_YELLOW = 20,   /* percent of the day's requests that are left */
    LIMIT_RED = 5,
    LARGE_TEXT_CHARS = 4000, /* long and rich text areas; they have up to 131,072 */
};

static bool look_at_session(struct checks *checks, const struct checks_rule *rule,
                            struct error *err)
{
    (void)err;
    if (checks->target->session == NULL && checks->target->no_session != NULL)
        checks_say(checks, rule, CHECKS_RED,
                   arena_strdup(checks->arena, checks->target->no_session),
                   "correct PGFORCE_SF_... as the message says");
    else if (checks->target->session == NULL)
        checks_say(checks, rule, CHECKS_SKIPPED, "the organisation was not to be asked", NULL);
    return true;
}

static bool get(struct checks *checks, const char *path, struct sf_call *call, struct error *err)
{
    *call = (struct sf_call){.method = "GET", .path = path};
    return sf_request_one(checks->target->session, call, err);
}

static int newest_version(const json_t *versions)
{
    const json_t *item;
    int newest = 0;
    size_t i;

    json_array_foreach(versions, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "version"));
        int version = text != NULL ? atoi(text) : 0;

        newest = version > newest ? version : newest;
    }
    return newest;
}

static bool look_at_version(struct checks *checks, const struct checks_rule *rule,
                            struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};
    const char *ours = sf_session_api_version(checks->target->session);

    if (!get(checks, "/services/data", &call, err))
        return false;
    int newest = newest_version(call.json);
    if (newest - atoi(ours) > VERSIONS_BEHIND)
        checks_say(checks, rule, CHECKS_YELLOW,
                   arena_printf(checks->arena,
                                "API version %s is used, the organisation has %d.0: old versions"
                                " are retired",
                                ours, newest),
                   arena_printf(checks->arena, "PGFORCE_SF_API_VERSION=%d.0", newest));
    return true;
}

static bool look_at_limit(struct checks *checks, const struct checks_rule *rule, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};

    if (!get(checks, "/limits", &call, err))
        return false;
    const json_t *daily = json_object_get(call.json, "DailyApiRequests");
    int64_t most = json_integer_value(json_object_get(daily, "Max"));
    int64_t left = json_integer_value(json_object_get(daily, "Remaining"));
    if (most <= 0 || left * 100 >= most * LIMIT_YELLOW)
        return true;
    checks_say(checks, rule, left * 100 < most * LIMIT_RED ? CHECKS_RED : CHECKS_YELLOW,
               arena_printf(checks->arena, "%lld of the day's %lld API requests are left",
                            (long long)left, (long long)most),
               "poll less often (pgforce mapping edit), or buy requests");
    return true;
}

/* ---- permissions ---- */

/* A permission of the user, as SOQL asks for it through his profile or his permission sets. */
struct grant {
    const char *object;
    const char *through;
    const char *user_field;
};

static bool any_grants(const json_t *records, const struct grant *grant, const char *permission)
{
    const json_t *row;
    size_t i;

    json_array_foreach(records, i, row)
    {
        const json_t *through = json_object_get(row, grant->through);

        if (json_is_true(json_object_get(through, permission)))
            return true;
    }
    return false;
}

static bool ask_grant(struct checks *checks, const struct grant *grant, const char *permission,
                      bool *has, struct error *err)
{
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query = NULL;
    json_t *records = NULL;

    buf_init(&soql, 1024);
    buf_printf(&soql, "select %s.%s from %s where %s = '%s'", grant->through, permission,
               grant->object, grant->user_field, sf_session_user_id(checks->target->session));
    bool is_ok = sf_query_open(checks->target->session, soql.data, NULL, &query, err);
    while (is_ok && (is_ok = sf_query_next(query, &records, err)) && records != NULL) {
        *has = *has || any_grants(records, grant, permission);
        json_decref(records);
    }
    sf_query_close(query);
    return is_ok;
}

static bool has_permission(struct checks *checks, const char *permission, bool *has,
                           struct error *err)
{
    static const struct grant by_profile = {"User", "Profile", "Id"};
    static const struct grant by_set = {"PermissionSetAssignment", "PermissionSet", "AssigneeId"};

    *has = false;
    if (sf_session_user_id(checks->target->session)[0] == '\0')
        return error_set(err, ERROR_RETRY, "Salesforce did not say who the user is");
    return ask_grant(checks, &by_profile, permission, has, err) &&
           (*has || ask_grant(checks, &by_set, permission, has, err));
}

static bool look_at_view_all(struct checks *checks, const struct checks_rule *rule,
                             struct error *err)
{
    bool has;

    if (!has_permission(checks, "PermissionsViewAllData", &has, err))
        return false;
    if (!has)
        checks_say(checks, rule, CHECKS_YELLOW,
                   "the user lacks View All Data: records that are not shared with it are missing",
                   "give the integration user a permission set with View All Data");
    return true;
}

static bool has_writer(const struct checks *checks)
{
    for (size_t i = 0; i < checks->mappings.count; i++)
        if (checks->mappings.items[i].access == MAPPING_READ_WRITE)
            return true;
    return false;
}

static bool look_at_modify_all(struct checks *checks, const struct checks_rule *rule,
                               struct error *err)
{
    bool has;

    if (!has_writer(checks))
        return true;
    if (!has_permission(checks, "PermissionsModifyAllData", &has, err))
        return false;
    if (!has)
        checks_say(checks, rule, CHECKS_YELLOW,
                   "the user lacks Modify All Data: records of others may refuse its changes",
                   "give the integration user a permission set with Modify All Data");
    return true;
}

/* ---- objects and fields ---- */

static void say_of(struct checks *checks, const struct checks_rule *rule,
                   const struct mapping *mapping, struct checks_finding finding)
{
    finding.rule = rule;
    finding.object_name = mapping->object_name;
    checks_add(checks, finding);
}

typedef bool (*field_test)(const struct mapping_field *field, const struct sf_field *seen,
                           struct arena *arena);

/* The names of the mapped fields of which test is true; NULL when there are none. */
static const char *list_fields(struct checks *checks, const struct mapping *mapping,
                               const struct sf_object *object, field_test test)
{
    const char *list = NULL;

    for (size_t i = 0; object != NULL && i < mapping->field_count; i++) {
        const struct mapping_field *field = &mapping->fields[i];

        if (field->relationship_name != NULL ||
            !test(field, sf_object_field(object, field->field_name), checks->arena))
            continue;
        list = list == NULL ? field->field_name
                            : arena_printf(checks->arena, "%s,%s", list, field->field_name);
    }
    return list;
}

static bool is_missing(const struct mapping_field *field, const struct sf_field *seen,
                       struct arena *arena)
{
    (void)field;
    (void)arena;
    return seen == NULL;
}

static bool is_calculated(const struct mapping_field *field, const struct sf_field *seen,
                          struct arena *arena)
{
    (void)field;
    (void)arena;
    return seen != NULL && seen->is_calculated;
}

static bool is_large(const struct mapping_field *field, const struct sf_field *seen,
                     struct arena *arena)
{
    (void)field;
    (void)arena;
    return seen != NULL && seen->length > LARGE_TEXT_CHARS && strcmp(seen->type, "base64") != 0;
}

static bool is_binary(const struct mapping_field *field, const struct sf_field *seen,
                      struct arena *arena)
{
    (void)field;
    (void)arena;
    return seen != NULL && strcmp(seen->type, "base64") == 0;
}

static bool is_encrypted(const struct mapping_field *field, const struct sf_field *seen,
                         struct arena *arena)
{
    (void)field;
    (void)arena;
    return seen != NULL && (seen->is_encrypted || strcmp(seen->type, "encryptedstring") == 0);
}

static bool is_changed(const struct mapping_field *field, const struct sf_field *seen,
                       struct arena *arena)
{
    const struct fieldtype *type = seen != NULL ? fieldtype_find(seen->type) : NULL;

    if (type == NULL || fieldtype_refusal(type) != NULL)
        return false;
    return strncmp(field->column_type, "varchar", 7) == 0 &&
           strcmp(fieldtype_column(type, seen, arena), field->column_type) != 0;
}

static void judge_object(struct checks *checks, const struct checks_rule *rule,
                         const struct mapping *mapping, const struct sf_object *object)
{
    if (object == NULL)
        say_of(checks, rule, mapping,
               (struct checks_finding){
                   .level = CHECKS_RED,
                   .message = arena_printf(checks->arena,
                                           "the organisation has no object %s that the user sees",
                                           mapping->object_name),
                   .remedy = arena_printf(checks->arena,
                                          "grant the user Read on it, or: pgforce mapping delete"
                                          " %s",
                                          mapping->object_name)});
}

/* A rule that lists fields: what is wrong with them, and what to do. */
struct listing {
    field_test test;
    enum checks_level level;
    const char *what;  /* "...: A,B" */
    const char *other; /* what may be done instead of leaving them out; "" for nothing */
};

static const char *find_remedy(struct checks *checks, const struct listing *listing,
                               const struct mapping *mapping, const char *names)
{
    if (listing->other == NULL)
        return arena_printf(checks->arena, "pgforce mapping refresh %s", mapping->object_name);
    return arena_printf(checks->arena, "%spgforce mapping edit %s --without %s", listing->other,
                        mapping->object_name, names);
}

static void judge_fields(struct checks *checks, const struct checks_rule *rule,
                         const struct mapping *mapping, const struct sf_object *object)
{
    static const struct {
        const char *id;
        struct listing listing;
    } listings[] = {
        {"MUST_SEE_FIELDS",
         {is_missing, CHECKS_RED, "the organisation lacks, or hides from the user",
          "grant the user Read on them, or: "}},
        {"SHOULD_NOT_MAP_CALCULATED_FIELDS",
         {is_calculated, CHECKS_YELLOW,
          "calculated fields change without a trace: they are read again only with their record",
          ""}},
        {"SHOULD_NOT_MAP_LARGE_TEXT_FIELDS",
         {is_large, CHECKS_YELLOW, "large text fields make pages of records small", ""}},
        {"MUST_NOT_MAP_BINARY_FIELDS",
         {is_binary, CHECKS_RED, "binary fields do not travel with their records", ""}},
        {"SHOULD_READ_ENCRYPTED_FIELDS",
         {is_encrypted, CHECKS_YELLOW, "encrypted fields are masked without View Encrypted Data",
          "give the user View Encrypted Data, or: "}},
        {"MUST_FIT_COLUMNS",
         {is_changed, CHECKS_YELLOW, "the organisation has changed the length or type of", NULL}},
    };

    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
        const struct listing *listing = &listings[i].listing;

        if (strcmp(rule->id, listings[i].id) != 0)
            continue;
        const char *names = list_fields(checks, mapping, object, listing->test);
        if (names != NULL)
            say_of(checks, rule, mapping,
                   (struct checks_finding){
                       .level = listing->level,
                       .message = arena_printf(checks->arena, "%s: %s", listing->what, names),
                       .remedy = find_remedy(checks, listing, mapping, names)});
    }
}

static bool is_required(const struct sf_field *field)
{
    return field->is_createable && !field->is_nillable && !field->is_defaulted_on_create &&
           strcmp(field->type, "boolean") != 0;
}

/* By itself, or by a parent's external id: Account__External_Id__c stands for AccountId. */
static bool is_mapped(const struct mapping *mapping, const struct sf_field *field)
{
    if (mapping_field_by_name(mapping, field->name) != NULL)
        return true;
    for (size_t i = 0; field->relationship_name != NULL && i < mapping->field_count; i++) {
        const char *name = mapping->fields[i].relationship_name;

        if (name != NULL && strcasecmp(name, field->relationship_name) == 0)
            return true;
    }
    return false;
}

static void judge_required(struct checks *checks, const struct checks_rule *rule,
                           const struct mapping *mapping, const struct sf_object *object)
{
    const char *list = NULL;

    if (object == NULL || mapping->is_orphan || mapping->access != MAPPING_READ_WRITE)
        return;
    for (size_t i = 0; i < object->field_count; i++) {
        const struct sf_field *field = &object->fields[i];

        if (!is_required(field) || is_mapped(mapping, field))
            continue;
        list = list == NULL ? field->name : arena_printf(checks->arena, "%s,%s", list, field->name);
    }
    if (list != NULL)
        say_of(checks, rule, mapping,
               (struct checks_finding){
                   .level = CHECKS_YELLOW,
                   .message = arena_printf(checks->arena,
                                           "Salesforce refuses a new record without: %s", list),
                   .remedy = arena_printf(checks->arena, "pgforce mapping edit %s --field %s",
                                          mapping->object_name, list)});
}

static void judge_identifier(struct checks *checks, const struct checks_rule *rule,
                             const struct mapping *mapping, const struct sf_object *object)
{
    const struct sf_field *field = object != NULL && mapping->upsert_field != NULL
                                       ? sf_object_field(object, mapping->upsert_field)
                                       : NULL;

    if (field != NULL && !(field->is_external_id && field->is_unique) && !field->is_id_lookup)
        say_of(checks, rule, mapping,
               (struct checks_finding){
                   .level = CHECKS_RED,
                   .message = arena_printf(checks->arena,
                                           "the unique identifier %s is not a unique external id"
                                           " any more",
                                           field->name),
                   .remedy = arena_printf(checks->arena,
                                          "in Salesforce's setup, set External ID and Unique on"
                                          " %s.%s",
                                          mapping->object_name, field->name)});
}

/* What creates that no unique identifier protects are to leave there. */
static void judge_traces(struct checks *checks, const struct checks_rule *rule,
                         const struct mapping *mapping, const struct sf_object *object)
{
    bool has_marker = strcmp(mapping->lost_create, "marker") == 0 && mapping->marker_field != NULL;
    bool has_receipt = strcmp(mapping->lost_create, "receipt") == 0;
    const struct sf_object *receipt = NULL;
    const char *what = NULL;
    struct error err = {0};

    if (object == NULL || mapping->access != MAPPING_READ_WRITE || !(has_marker || has_receipt))
        return;
    if (has_marker)
        what = lost_create_marker_problem(object, mapping->marker_field, checks->arena);
    else if (organisation_describe(checks->organisation, LOST_CREATE_RECEIPT, &receipt, &err))
        what = lost_create_receipt_problem(receipt, checks->arena);
    else
        say_of(checks, rule, mapping,
               (struct checks_finding){.level = CHECKS_SKIPPED,
                                       .message = arena_strdup(checks->arena, err.message)});
    if (what != NULL)
        say_of(checks, rule, mapping,
               (struct checks_finding){
                   .level = CHECKS_RED,
                   .message = what,
                   .remedy = arena_printf(checks->arena,
                                          "see docs/mappings.md, or: pgforce mapping edit %s"
                                          " --lost-create probe",
                                          mapping->object_name)});
}

static void judge_writing(struct checks *checks, const struct checks_rule *rule,
                          const struct mapping *mapping, const struct sf_object *object)
{
    if (object == NULL || mapping->access != MAPPING_READ_WRITE ||
        (object->is_createable && object->is_updateable && object->is_deletable))
        return;
    say_of(checks, rule, mapping,
           (struct checks_finding){
               .level = CHECKS_YELLOW,
               .message = arena_printf(checks->arena, "the user may not%s%s%s records",
                                       object->is_createable ? "" : " create",
                                       object->is_updateable ? "" : " edit",
                                       object->is_deletable ? "" : " delete"),
               .remedy = arena_printf(checks->arena, "grant it on %s, or map it read_only",
                                      object->name)});
}

#define ORGANISATION .needs = CHECKS_NEEDS_DATABASE, .asks_organisation = true
#define OBJECT       .needs = CHECKS_NEEDS_SETUP, .scope = CHECKS_MAPPING

static const struct checks_rule rules[] = {
    {.id = "MUST_SIGN_IN",
     .title = "pgforce signs in to the organisation",
     .look = look_at_session},
    {.id = "MUST_USE_RECENT_API_VERSION",
     .title = "the API version is recent",
     .look = look_at_version,
     ORGANISATION},
    {.id = "SHOULD_HAVE_API_REQUESTS",
     .title = "API requests are left for the day",
     .look = look_at_limit,
     ORGANISATION},
    {.id = "SHOULD_VIEW_ALL_DATA",
     .title = "the user has View All Data",
     .look = look_at_view_all,
     ORGANISATION},
    {.id = "SHOULD_MODIFY_ALL_DATA",
     .title = "the user has Modify All Data, where anything is written",
     .look = look_at_modify_all,
     ORGANISATION},
    {.id = "MUST_SEE_OBJECT",
     .title = "the organisation has the object",
     .judge = judge_object,
     OBJECT},
    {.id = "MUST_SEE_FIELDS",
     .title = "the organisation has all mapped fields",
     .judge = judge_fields,
     OBJECT},
    {.id = "MUST_MAP_REQUIRED_FIELDS",
     .title = "what Salesforce requires is mapped",
     .judge = judge_required,
     OBJECT},
    {.id = "MUST_HAVE_EXTERNAL_ID",
     .title = "the unique identifier is one in Salesforce",
     .judge = judge_identifier,
     OBJECT},
    {.id = "MUST_LEAVE_TRACES",
     .title = "creates can leave the receipt or marker that the mapping wants",
     .judge = judge_traces,
     OBJECT},
    {.id = "SHOULD_WRITE_OBJECT",
     .title = "the user may write what is mapped for writing",
     .judge = judge_writing,
     OBJECT},
    {.id = "SHOULD_NOT_MAP_CALCULATED_FIELDS",
     .title = "no calculated fields",
     .judge = judge_fields,
     OBJECT},
    {.id = "SHOULD_NOT_MAP_LARGE_TEXT_FIELDS",
     .title = "no large text fields",
     .judge = judge_fields,
     OBJECT},
    {.id = "MUST_NOT_MAP_BINARY_FIELDS",
     .title = "no binary fields",
     .judge = judge_fields,
     OBJECT},
    {.id = "SHOULD_READ_ENCRYPTED_FIELDS",
     .title = "no encrypted fields",
     .judge = judge_fields,
     OBJECT},
    {.id = "MUST_FIT_COLUMNS",
     .title = "text columns are as long as the organisation's fields",
     .judge = judge_fields,
     OBJECT},
};

const struct checks_rule *checks_org_rules(size_t *count)
{
    *count = sizeof(rules) / sizeof(rules[0]);
    return rules;
}
