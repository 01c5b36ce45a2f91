/* mapping/import and mapping/resolve: exported configurations, read and matched with the
 * organisation. PGFORCE_HC_EXPORTS may name a folder of exports that must all be readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "mapping/import.h"
#include "mapping/resolve.h"
#include "mapping/schema.h"
#include "sf/describe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELDS(...)                                                                                \
    .fields = (const struct sf_field[]){__VA_ARGS__},                                              \
    .field_count = COUNT(((const struct sf_field[]){__VA_ARGS__}))
#define WRITABLE .is_createable = true, .is_updateable = true
#define ID                                                                                         \
    {                                                                                              \
        .name = "Id", .type = "id", .length = 18                                                   \
    }
#define STAMP                                                                                      \
    {                                                                                              \
        .name = "SystemModstamp", .type = "datetime"                                               \
    }
#define DELETED                                                                                    \
    {                                                                                              \
        .name = "IsDeleted", .type = "boolean"                                                     \
    }
#define CREATED                                                                                    \
    {                                                                                              \
        .name = "CreatedDate", .type = "datetime"                                                  \
    }
#define TEXT(field, size)                                                                          \
    {                                                                                              \
        .name = field, .type = "string", .length = size, WRITABLE                                  \
    }
#define SIMPLE(field, kind)                                                                        \
    {                                                                                              \
        .name = field, .type = kind, WRITABLE                                                      \
    }
#define KEY(field)                                                                                 \
    {                                                                                              \
        .name = field, .type = "string", .length = 64, .is_external_id = true, .is_unique = true,  \
        .is_id_lookup = true, WRITABLE                                                             \
    }
#define LOOKUP(field, relationship, ...)                                                           \
    {                                                                                              \
        .name = field, .type = "reference", .length = 18, .relationship_name = relationship,       \
        .reference_to = (const char *const[]){__VA_ARGS__},                                        \
        .reference_count = COUNT(((const char *const[]){__VA_ARGS__})), WRITABLE                   \
    }

static const struct sf_object objects[] = {
    {.name = "Account",
     WRITABLE,
     FIELDS(ID, DELETED, STAMP, CREATED, {.name = "LastModifiedDate", .type = "datetime"},
            TEXT("Name", 255), SIMPLE("Phone", "phone"),
            {.name = "Website", .type = "url", .length = 255}, SIMPLE("Industry", "picklist"),
            SIMPLE("Type", "picklist"), SIMPLE("AnnualRevenue", "currency"),
            SIMPLE("NumberOfEmployees", "int"), TEXT("BillingStreet", 255), TEXT("BillingCity", 40),
            TEXT("BillingState", 80), TEXT("BillingPostalCode", 20), TEXT("BillingCountry", 80),
            SIMPLE("BillingAddress", "address"), SIMPLE("Description", "textarea"),
            KEY("External_Id__c"))},
    {.name = "Contact",
     WRITABLE,
     FIELDS(ID, DELETED, STAMP, CREATED, {.name = "Name", .type = "string", .length = 121},
            TEXT("FirstName", 40), TEXT("LastName", 80),
            {.name = "Email", .type = "email", .length = 80, .is_id_lookup = true, WRITABLE},
            SIMPLE("Phone", "phone"), TEXT("Title", 128), SIMPLE("Birthdate", "date"),
            SIMPLE("HasOptedOutOfEmail", "boolean"), LOOKUP("AccountId", "Account", "Account"),
            LOOKUP("WhatId", "What", "Account", "Contact"), KEY("External_Id__c"))},
    {.name = "Invoice__c",
     WRITABLE,
     FIELDS(ID, DELETED, STAMP, CREATED, TEXT("Name", 80),
            LOOKUP("Account__c", "Account__r", "Account"), SIMPLE("Amount__c", "currency"),
            SIMPLE("Tax_Rate__c", "percent"), {.name = "Total__c", .type = "currency"},
            SIMPLE("Quantity__c", "double"), SIMPLE("Status__c", "picklist"),
            SIMPLE("Tags__c", "multipicklist"), SIMPLE("Due_Date__c", "date"),
            SIMPLE("Paid_At__c", "datetime"), SIMPLE("Is_Paid__c", "boolean"),
            SIMPLE("Pick_Up__c", "time"), SIMPLE("Contact_Email__c", "email"),
            {.name = "Notes__c", .type = "textarea", .length = 32768, WRITABLE},
            KEY("External_Id__c"))},
    {.name = "User", FIELDS(ID, STAMP, TEXT("Username", 80))},
    {.name = "ACME__File__c",
     WRITABLE,
     FIELDS(ID, DELETED, STAMP, LOOKUP("ACME__Owner__c", "ACME__Owner__r", "ACME__Person__c"),
            KEY("ACME__Key__c"), SIMPLE("ACME__Place__c", "location"),
            SIMPLE("ACME__Place__Latitude__s", "double"))},
    {.name = "ACME__Person__c", FIELDS(ID, STAMP, KEY("ACME__Key__c"))},
    {.name = "Log__c", FIELDS(ID, CREATED)},
    {.name = "Timeless", FIELDS(ID, TEXT("Name", 80))},
};

static bool describe(void *context, const char *object_name, const struct sf_object **object,
                     struct error *err)
{
    (void)context;
    (void)err;
    *object = NULL;
    for (size_t i = 0; i < COUNT(objects); i++)
        if (strcasecmp(objects[i].name, object_name) == 0)
            *object = &objects[i];
    return true;
}

static bool describe_nothing(void *context, const char *object_name,
                             const struct sf_object **object, struct error *err)
{
    (void)context;
    *object = NULL;
    return error_set(err, ERROR_RETRY, "no answer about %s", object_name);
}

static const struct resolve_org org = {.describe = describe};

static int make_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int free_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static const char *read_whole(struct arena *arena, const char *path)
{
    struct buf text BUF_AUTO = {0};
    char piece[4096];
    size_t got = 0;
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    buf_init(&text, 1 << 20);
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_append(&text, piece, got);
    fclose(file);
    return arena_strdup(arena, text.data);
}

static const char *read_fixture(struct arena *arena, const char *name)
{
    const char *slash = strrchr(__FILE__, '/');

    return read_whole(
        arena, arena_printf(arena, "%.*s/../fixtures/%s", (int)(slash - __FILE__), __FILE__, name));
}

static bool parse(struct arena *arena, const char *text, struct import *import, struct error *err)
{
    return import_parse(text, strlen(text), arena, import, err);
}

static struct mapping_list resolve_fixture(struct arena *arena, const char *name,
                                           struct resolve_result *result)
{
    struct import import;
    struct error err = {0};

    if (!parse(arena, read_fixture(arena, name), &import, &err) ||
        !resolve_import(&import, &org, arena, result, &err))
        fail_msg("%s: %s", name, err.message);
    return result->list;
}

static void the_demo_export_becomes_three_mappings(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "demo.json", &result);

    assert_int_equal(list.count, 3);
    assert_int_equal(result.warnings.count, 0);
    const struct mapping *contact = mapping_find_by_object(&list, "contact");
    assert_non_null(contact);
    assert_string_equal(contact->object_name, "Contact");
    assert_string_equal(contact->table_name, "contact");
    assert_int_equal(contact->access, MAPPING_READ_WRITE);
    assert_int_equal(contact->polling_seconds, 2);
    assert_true(contact->is_notified);
    assert_true(contact->has_isdeleted);
    assert_string_equal(contact->upsert->column_name, "external_id__c");
    assert_string_equal(contact->id_field->column_name, "sfid");
    assert_string_equal(contact->stamp->column_name, "systemmodstamp");
    assert_true(contact->stamp->is_system);
    assert_ptr_equal(mapping_find_by_table(&list, "invoice__c"), &list.items[2]);
    assert_null(mapping_find_by_table(&list, "Contact"));
}

static void a_parents_external_id_is_asked_for_through_the_relationship(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "demo.json", &result);
    const struct mapping_field *field = mapping_field_by_column(
        mapping_find_by_object(&list, "Contact"), "account__external_id__c");

    assert_non_null(field);
    assert_string_equal(field->field_name, "Account__External_Id__c");
    assert_string_equal(field->soql_path, "Account.External_Id__c");
    assert_string_equal(field->relationship_name, "Account");
    assert_string_equal(field->reference_object, "Account");
    assert_string_equal(field->reference_field, "External_Id__c");
    assert_string_equal(field->column_type, "varchar(64)");
    assert_true(field->is_createable);
    field = mapping_field_by_column(mapping_find_by_object(&list, "Invoice__c"),
                                    "account__r__external_id__c");
    assert_non_null(field);
    assert_string_equal(field->soql_path, "Account__r.External_Id__c");
}

static void the_oldest_exports_are_read_too(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "mappings/oldest.json", &result);
    const struct mapping *user = mapping_find_by_object(&list, "User");
    const struct mapping *account = mapping_find_by_object(&list, "Account");

    assert_int_equal(list.count, 2);
    assert_false(user->has_isdeleted);
    assert_null(mapping_field_by_column(user, "isdeleted"));
    assert_int_equal(user->field_count, 3);
    assert_string_equal(user->id_field->field_name, "Id");
    assert_int_equal(user->polling_seconds, 600);
    assert_int_equal(user->max_daily_api_calls, 30000);
    assert_non_null(strstr(user->config, "some_new_key"));
    assert_string_equal(account->stamp->field_name, "SystemModstamp");
    assert_non_null(mapping_field_by_column(account, "lastmodifieddate"));
    assert_true(account->has_isdeleted);
    assert_null(account->upsert);
    assert_int_equal(result.warnings.count, 1);
    assert_non_null(strstr(result.warnings.lines[0], "upsert_field"));
}

static void packages_keep_their_prefixes_and_history_has_its_creation_date(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "mappings/packaged.json", &result);
    const struct mapping *file = mapping_find_by_table(&list, "acme__file__c");
    const struct mapping_field *good = mapping_field_by_name(file, "acme__owner__r__acme__key__c");
    const struct mapping_field *odd = mapping_field_by_name(file, "ACME__Owner__c__ACME__Key__c");

    assert_string_equal(good->soql_path, "ACME__Owner__r.ACME__Key__c");
    assert_string_equal(good->reference_object, "ACME__Person__c");
    assert_string_equal(odd->soql_path, "ACME__Owner__r.ACME__Key__c");
    assert_string_equal(odd->column_name, "acme__owner__c__acme__key__c");
    assert_non_null(mapping_field_by_column(file, "acme__place__latitude__s"));
    assert_string_equal(file->upsert_field, "ACME__Key__c");
    const struct mapping *log = mapping_find_by_table(&list, "log__c");
    assert_string_equal(log->stamp->field_name, "CreatedDate");
    assert_false(log->has_isdeleted);
}

static void broken_json_is_refused_with_its_line(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{\"mappings\": {}}",
        "{\"mappings\": []} x",
        "{\"mappings\": [],\n \"mappings\": []}",
        "{\"version\": 2, \"mappings\": []}",
        "{\"version\": \"1\", \"mappings\": []}",
        "{\"mappings\": [null]}",
        "{\"mappings\": [], \"connection\": {\"app_name\": 7}}",
        "{\"mappings\": [{\"object_name\": \"A\\u0000\", \"config\": {}}]}"};

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct import import;
        struct error err = {0};
        assert_false(parse(*state, texts[i], &import, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
    }
    struct import import;
    struct error err = {0};
    assert_false(parse(*state, "{\n  \"mappings\": [\n    oops\n", &import, &err));
    assert_non_null(strstr(err.message, "line 3"));
}

static void a_byte_order_mark_and_an_empty_list_are_no_error(void **state)
{
    struct import import;
    struct error err = {0};

    assert_true(parse(*state, "\xef\xbb\xbf{\"mappings\": []}", &import, &err));
    assert_int_equal(import.entry_count, 0);
}

static void all_wrong_values_are_named_at_once_with_their_paths(void **state)
{
    static const char *const expected[] = {
        "mappings[0] (Account).config.access",    "mappings[1] (Contact).config.sf_polling_seconds",
        "mappings[1] (Contact).config.fields",    "mappings[2] (Lead).config.sf_notify_enabled",
        "mappings[2] (Lead).config.indexes.Name", "mappings[3].object_name is missing",
        "mappings[4] (Case).config is missing",
    };
    struct import import;
    struct error err = {0};

    assert_false(parse(*state, read_fixture(*state, "mappings/wrong_values.json"), &import, &err));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_non_null(strstr(err.message, expected[i]));
}

static void all_wrong_names_are_named_at_once(void **state)
{
    static const char *const expected[] = {
        "Nowhere__c does not exist",
        "Archive__b is a big object",
        "Account.Nmae does not exist",
        "Account.BillingAddress is of the type address",
        "index on Name cannot be unique",
        "index on Phone needs that field",
        "account is there twice",
        "Account.Name is not an external id",
        "Account has no field Key__c",
        "refers to several objects",
        "upsert_field Email is not a unique external id",
        "upsert_field External_Id__c is not among the fields",
        "Timeless has no SystemModstamp",
    };
    struct resolve_result result;
    struct import import;
    struct error err = {0};

    assert_true(parse(*state, read_fixture(*state, "mappings/wrong_names.json"), &import, &err));
    assert_false(resolve_import(&import, &org, *state, &result, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_int_equal(result.problems.count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        if (strstr(err.message, expected[i]) == NULL)
            fail_msg("no \"%s\" in: %s", expected[i], err.message);
}

static void an_error_too_long_says_how_many_problems_it_left_out(void **state)
{
    struct import_problems problems = {.arena = *state};
    struct error err = {0};
    size_t lines = 0;

    assert_true(import_problems_end(&problems, "nothing", &err));
    for (int i = 0; i < 1500; i++)
        import_problem(&problems, "problem number %d", i);
    assert_false(import_problems_end(&problems, "nothing was imported", &err));
    for (const char *at = err.message; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_true(lines > 50);
    assert_int_equal(problems.kept, 1000);
    assert_non_null(
        strstr(err.message, arena_printf(*state, "\n... and %zu more", 1500 - (lines - 1))));
}

static void an_organisation_that_does_not_answer_is_no_wrong_name(void **state)
{
    struct resolve_org silent = {.describe = describe_nothing};
    struct resolve_result result;
    struct import import;
    struct error err = {0};

    assert_true(parse(*state, read_fixture(*state, "demo.json"), &import, &err));
    assert_false(resolve_import(&import, &silent, *state, &result, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void a_table_is_defined_as_heroku_connect_defines_it(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "mappings/oldest.json", &result);
    struct mapping user = *mapping_find_by_object(&list, "User");
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1 << 20);
    user.schema_name = "sales\"force";
    schema_table_sql(&user, &sql);
    assert_string_equal(
        sql.data,
        "create table \"sales\"\"force\".\"user\" ("
        "\"systemmodstamp\" timestamp without time zone, \"username\" varchar(80), "
        "sfid varchar(18) collate ucs_basic, id serial primary key, "
        "_hc_lastop varchar(32) default 'PENDING', _hc_err text) with (fillfactor = 90);\n"
        "alter table \"sales\"\"force\".\"user\" replica identity full;\n");
}

static void indexes_have_heroku_connects_names_once_each(void **state)
{
    struct resolve_result result;
    struct mapping_list list = resolve_fixture(*state, "demo.json", &result);
    struct mapping contact = *mapping_find_by_object(&list, "Contact");
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1 << 20);
    contact.schema_name = "salesforce";
    schema_index_sql(&contact, &sql);
    assert_string_equal(sql.data,
                        "create unique index if not exists \"hcu_idx_contact_sfid\""
                        " on \"salesforce\".\"contact\" (\"sfid\");\n"
                        "create index if not exists \"hc_idx_contact_systemmodstamp\""
                        " on \"salesforce\".\"contact\" (\"systemmodstamp\");\n"
                        "create unique index if not exists \"hcu_idx_contact_external_id__c\""
                        " on \"salesforce\".\"contact\" (\"external_id__c\");\n"
                        "create index if not exists \"hc_idx_contact_accountid\""
                        " on \"salesforce\".\"contact\" (\"accountid\");\n");
}

static void long_names_are_cut_as_the_server_cuts_them_and_indexes_stay_apart(void **state)
{
    char name[80] = {0};
    struct mapping_field fields[3] = {
        {.field_name = "Id", .column_name = "sfid"},
        {.field_name = "CreatedDate", .column_name = "createddate"},
    };
    struct mapping_index indexes[] = {{"first_of_two_columns_with_a_name_that_is_long_1", false},
                                      {"first_of_two_columns_with_a_name_that_is_long_2", false}};
    struct mapping mapping = {.schema_name = "s",
                              .table_name = "a_table_with_a_long_name__c",
                              .object_name = "x",
                              .fields = fields,
                              .field_count = 2,
                              .indexes = indexes,
                              .index_count = 2};
    struct error err = {0};
    struct buf sql BUF_AUTO = {0};

    memset(name, 'X', 70);
    assert_int_equal(strlen(mapping_identifier(name, *state)), 63);
    assert_string_equal(mapping_identifier("Ab__C", *state), "ab__c");
    buf_init(&sql, 1 << 20);
    assert_true(mapping_bind(&mapping, &err));
    schema_index_sql(&mapping, &sql);
    const char *first = strstr(sql.data, "\"hc_idx_a_table_with_a_long_name__c_first");
    assert_non_null(first);
    const char *second = strstr(first + 1, "\"hc_idx_a_table_with_a_long_name__c_first");
    assert_non_null(second);
    assert_int_equal(strcspn(first + 1, "\""), 63);
    assert_int_not_equal(strncmp(first, second, 64), 0);
}

static void only_text_ever_gets_wider(void **state)
{
    (void)state;
    assert_true(schema_is_wider("varchar(80)", "varchar(81)"));
    assert_true(schema_is_wider("varchar(255)", "text"));
    assert_false(schema_is_wider("varchar(80)", "varchar(80)"));
    assert_false(schema_is_wider("text", "varchar(80)"));
    assert_false(schema_is_wider("integer", "text"));
    assert_false(schema_is_wider("integer", "bigint"));
}

static void every_export_in_the_given_folder_is_read(void **state)
{
    const char *path = getenv("PGFORCE_HC_EXPORTS");
    struct dirent *entry = NULL;
    int count = 0;

    if (path == NULL)
        skip();
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        struct import import;
        struct error err = {0};
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".json") != 0)
            continue;
        const char *text = read_whole(*state, arena_printf(*state, "%s/%s", path, entry->d_name));
        if (!parse(*state, text, &import, &err))
            fail_msg("%s: %s", entry->d_name, err.message);
        assert_true(import.entry_count > 0);
        assert_true(import.entries[0].field_count > 0);
        count++;
    }
    closedir(folder);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_export_becomes_three_mappings),
        cmocka_unit_test(a_parents_external_id_is_asked_for_through_the_relationship),
        cmocka_unit_test(the_oldest_exports_are_read_too),
        cmocka_unit_test(packages_keep_their_prefixes_and_history_has_its_creation_date),
        cmocka_unit_test(broken_json_is_refused_with_its_line),
        cmocka_unit_test(a_byte_order_mark_and_an_empty_list_are_no_error),
        cmocka_unit_test(all_wrong_values_are_named_at_once_with_their_paths),
        cmocka_unit_test(all_wrong_names_are_named_at_once),
        cmocka_unit_test(an_error_too_long_says_how_many_problems_it_left_out),
        cmocka_unit_test(an_organisation_that_does_not_answer_is_no_wrong_name),
        cmocka_unit_test(a_table_is_defined_as_heroku_connect_defines_it),
        cmocka_unit_test(indexes_have_heroku_connects_names_once_each),
        cmocka_unit_test(long_names_are_cut_as_the_server_cuts_them_and_indexes_stay_apart),
        cmocka_unit_test(only_text_ever_gets_wider),
        cmocka_unit_test(every_export_in_the_given_folder_is_read),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
