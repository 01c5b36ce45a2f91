/*
 * libFuzzer: any text as a formula of every type. What is refused is refused with a message that
 * names the place; what is accepted is evaluated over blank and over filled inputs, gives a value
 * of its type, and becomes SQL that SQLite takes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/formula_check.h"
#include "sandbox/formula_sql.h"
#include "sandbox/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

extern const char sandbox_objects_system[];

/* Instead of objects/system.json, which is embedded at build. */
const char sandbox_objects_system[] =
    "{\"head\": [{\"name\": \"Id\", \"type\": \"id\"}, {\"name\": \"IsDeleted\", \"type\": "
    "\"boolean\"}], \"standard\": [], \"custom\": [], \"tail\": []}";

static const char definition[] =
    "[{\"name\": \"User\", \"keyPrefix\": \"005\", \"fields\": [{\"name\": \"Name\"}]}, "
    "{\"name\": \"A\", \"keyPrefix\": \"001\", \"fields\": [{\"name\": \"Name\"}, {\"name\": "
    "\"N\", \"type\": \"double\"}, {\"name\": \"B\", \"type\": \"boolean\"}, {\"name\": \"D\", "
    "\"type\": \"date\"}, {\"name\": \"M\", \"type\": \"datetime\"}, {\"name\": \"K\", \"type\": "
    "\"picklist\"}, {\"name\": \"T\", \"type\": \"time\"}, {\"name\": \"PId\", \"type\": "
    "\"reference\", \"referenceTo\": [\"A\"], \"relationshipName\": \"P\"}, {\"name\": \"WId\", "
    "\"type\": \"reference\", \"referenceTo\": [\"A\", \"User\"], \"relationshipName\": \"W\"}]}]";

/* The fields whose types results have; NULL: a validation rule. */
static const char *const results[] = {"Name", "N", "B", "D", "M", NULL};

static struct schema *schema;
static struct store *store;

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void answer_nothing(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_null(context);
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
    sqlite3_create_function_v2(store_database(store), "sandbox_formula", -1, SQLITE_UTF8, NULL,
                               answer_nothing, NULL, NULL, NULL);
    sqlite3_create_function_v2(store_database(store), "sandbox_user", 0, SQLITE_UTF8, NULL,
                               answer_nothing, NULL, NULL, NULL);
    return 0;
}

static struct formula_value fill(const struct formula_input *input, bool is_blank)
{
    enum formula_type type =
        input->field != NULL ? formula_check_type(input->field) : FORMULA_BOOLEAN;

    if (type == FORMULA_TEXT || type == FORMULA_PICKLIST)
        return formula_text(is_blank ? "" : "Z\xc3\xbcrich;b -1.5");
    if (type == FORMULA_BOOLEAN)
        return formula_boolean(!is_blank);
    return is_blank ? formula_null() : formula_number(1770091506);
}

static void evaluate(struct arena *arena, const struct formula *formula, bool is_blank)
{
    struct formula_value inputs[FORMULA_MAX_INPUTS];
    const struct formula_run run = {.arena = arena, .now_s = 1770091506, .inputs = inputs};

    for (size_t i = 0; i < formula->input_count; i++)
        inputs[i] = fill(&formula->inputs[i], is_blank);
    struct formula_value value = formula_evaluate(&run, formula->root);
    enum formula_type type = formula->root->type;
    if (value.text != NULL)
        check((type == FORMULA_TEXT || type == FORMULA_PICKLIST || type == FORMULA_NULL) &&
              strlen(value.text) <= FORMULA_MAX_TEXT_BYTES);
    else if (!value.is_null)
        check(type != FORMULA_TEXT && isfinite(value.number));
}

static void prepare(struct arena *arena, const struct formula *formula)
{
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;

    buf_init(&sql, FORMULA_SQL_MAX_BYTES);
    if (!formula_sql_write(formula, "t", &sql))
        return;
    const char *whole = arena_printf(
        arena, "select %s from \"A\" t left join \"A\" o on o.\"Id\" = t.\"Id\"", sql.data);
    check(sqlite3_prepare_v2(store_database(store), whole, -1, &statement, NULL) == SQLITE_OK);
    sqlite3_finalize(statement);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena *arena = arena_new();
    const struct object *object = schema_find(schema, "A");
    const char *text = arena_strndup(arena, (const char *)data, size_bytes);

    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        const struct formula_source source = {
            .schema = schema,
            .object = object,
            .field = results[i] != NULL ? schema_field(object, results[i]) : NULL,
            .text = text,
            .is_rule = results[i] == NULL,
        };
        struct error err = {0};
        const struct formula *formula = formula_check(arena, &source, &err);

        check((formula == NULL) == (err.kind == ERROR_CONFIG));
        if (formula == NULL)
            continue;
        evaluate(arena, formula, true);
        evaluate(arena, formula, false);
        prepare(arena, formula);
    }
    arena_free(arena);
    return 0;
}
