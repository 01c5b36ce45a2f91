/*
 * libFuzzer: any text as SOQL. What is refused is refused with a code and a message; what is
 * accepted becomes SQL that SQLite takes, over tables of every kind of field. The same text is also
 * searched for: words become a condition that parses.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/search_words.h"
#include "sandbox/soql_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

extern const char sandbox_objects_system[];

/* Instead of objects/system.json, which is embedded at build. */
const char sandbox_objects_system[] =
    "{\"head\": [{\"name\": \"Id\", \"type\": \"id\"}, {\"name\": \"IsDeleted\", \"type\": "
    "\"boolean\"}], \"standard\": [], \"custom\": [], \"tail\": [{\"name\": \"CreatedDate\", "
    "\"type\": \"datetime\"}, {\"name\": \"SystemModstamp\", \"type\": \"datetime\"}]}";

static const char definition[] =
    "[{\"name\": \"A\", \"keyPrefix\": \"001\", \"fields\": [{\"name\": \"Name\"}, {\"name\": "
    "\"N\", \"type\": \"double\"}, {\"name\": \"I\", \"type\": \"int\"}, {\"name\": \"D\", "
    "\"type\": \"date\"}, {\"name\": \"T\", \"type\": \"time\"}, {\"name\": \"M\", \"type\": "
    "\"multipicklist\"}, {\"name\": \"Ad\", \"type\": \"address\"}, {\"name\": \"AdCity\", "
    "\"compoundFieldName\": \"Ad\"}, {\"name\": \"S\", \"type\": \"encryptedstring\"}, "
    "{\"name\": \"L\", \"type\": \"textarea\", \"length\": 9999}, {\"name\": \"PId\", \"type\": "
    "\"reference\", \"referenceTo\": [\"A\"], \"relationshipName\": \"P\", "
    "\"childRelationshipName\": \"Cs\"}]}, "
    "{\"name\": \"B\", \"keyPrefix\": \"003\", \"fields\": [{\"name\": \"Name\"}, {\"name\": "
    "\"WId\", \"type\": \"reference\", \"referenceTo\": [\"A\", \"B\"], \"relationshipName\": "
    "\"W\", \"childRelationshipName\": \"Ws\"}]}]";

static struct schema *schema;
static struct store *store;

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err = {0};
    json_t *json = json_loads(definition, 0, NULL);

    (void)argc;
    (void)argv;
    schema = schema_new();
    check(json != NULL && schema_define(schema, json, &err) && store_open(NULL, &store, &err));
    for (size_t i = 0; i < schema_count(schema); i++)
        check(store_make_table(store, schema_at(schema, i), &err));
    json_decref(json);
    return 0;
}

static void check_shape(const struct soql_shape *shape);

/* Children are statements of their own, whose values their parents set. */
static void run_plan(const struct soql_plan *plan)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store_database(store), plan->sql, -1, &statement, NULL);

    check(result == SQLITE_OK || result == SQLITE_ERROR || result == SQLITE_TOOBIG);
    if (result == SQLITE_ERROR) {
        /* SQLite has limits of its own: joins, depth, terms of a compound, parameters. */
        const char *message = sqlite3_errmsg(store_database(store));

        check(strstr(message, "too many") != NULL || strstr(message, "too large") != NULL ||
              strstr(message, "at most") != NULL || strstr(message, "overflow") != NULL ||
              strstr(message, "variable number") != NULL);
    }
    for (size_t i = 0; statement != NULL && i < plan->value_count; i++)
        store_bind(statement, (int)i + 1, &plan->values[i]);
    if (statement != NULL)
        check(sqlite3_step(statement) != SQLITE_MISUSE);
    sqlite3_finalize(statement);
    check_shape(plan->shape);
}

static void check_shape(const struct soql_shape *shape)
{
    for (; shape != NULL; shape = shape->other)
        for (const struct soql_shape_item *item = shape->items; item != NULL; item = item->next) {
            check(item->name != NULL);
            check_shape(item->parent);
            check_shape(item->parts);
            if (item->children != NULL)
                run_plan(item->children);
        }
}

static void plan_text(struct arena *arena, const char *text, uint8_t flags)
{
    struct record_errors errors = {.arena = arena};
    struct soql_context context = {
        .schema = schema,
        .errors = &errors,
        .now_s = 1770000000,
        .includes_deleted = (flags & 1) != 0,
        .is_in_pieces = (flags & 2) != 0,
        .masks_secrets = (flags & 4) != 0,
    };
    struct soql_query *query = soql_parse(text, &errors);
    struct soql_plan *plan = query != NULL ? soql_plan(&context, query) : NULL;

    check((plan == NULL) == !errors_is_empty(&errors));
    if (plan != NULL)
        run_plan(plan);
}

static void find_words(struct arena *arena, const char *text)
{
    static const char *const fields[] = {"Name", "AdCity"};
    struct record_errors errors = {.arena = arena};
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_CHARACTERS);
    buf_text(&soql, "SELECT Id FROM A WHERE ");
    if (search_words(&soql, text, fields, 2) && !buf_is_full(&soql))
        check(soql_parse(soql.data, &errors) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena *arena = arena_new();

    if (size_bytes > 0) {
        const char *text = arena_strndup(arena, (const char *)data + 1, size_bytes - 1);

        plan_text(arena, text, data[0]);
        find_words(arena, text);
    }
    arena_free(arena);
    return 0;
}
