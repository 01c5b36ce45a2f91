#include "sandbox/formulas.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/events.h"
#include "sandbox/formula_math.h"
#include "sandbox/formula_sql.h"
#include "sandbox/ids.h"
#include "sandbox/rules.h"
#include "sandbox/times.h"

enum { MAX_SQL_BYTES = 1024 * 1024 };

struct formulas {
    const struct org *org;
    struct arena *arena; /* of one evaluation */
    struct formula **list;
    size_t count;
    size_t room;
};

/* ---- values in and out ---- */

static const char *read_text(sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);

    return text != NULL ? text : "";
}

/* Formulas see ids of 15 characters (Salesforce Help, CASESAFEID). */
static struct formula_value read_id(struct arena *arena, sqlite3_value *value)
{
    return formula_text(arena_strndup(arena, read_text(value), IDS_SHORT));
}

static struct formula_value read_moment(sqlite3_value *value)
{
    const char *text = read_text(value);
    int64_t seconds = 0;

    if (!times_parse_date(text, &seconds) && !times_parse_datetime(text, true, &seconds))
        return formula_null();
    return formula_number((double)seconds);
}

/* A percent of 10 is 0.1. A blank number is zero where the formula says so. */
static struct formula_value read_number(const struct formula *formula, const struct field *field,
                                        sqlite3_value *value)
{
    bool is_percent = strcmp(field->type->name, "percent") == 0;

    if (sqlite3_value_type(value) == SQLITE_NULL && !formula->blanks_are_zero)
        return formula_null();
    return formula_number(sqlite3_value_double(value) / (is_percent ? 100 : 1));
}

static struct formula_value read_input(const struct formulas *formulas,
                                       const struct formula *formula, size_t index,
                                       sqlite3_value *value)
{
    const struct field *field = formula->inputs[index].field;

    if (field == NULL || field->type->kind == KIND_BOOLEAN)
        return formula_boolean(sqlite3_value_int(value) != 0);
    switch (field->type->kind) {
    case KIND_ID: return read_id(formulas->arena, value);
    case KIND_DATE:
    case KIND_DATETIME: return read_moment(value);
    case KIND_INTEGER:
    case KIND_REAL: return read_number(formula, field, value);
    default: break;
    }
    return formula_text(arena_strdup(formulas->arena, read_text(value)));
}

static void answer_number(sqlite3_context *context, const struct field *field, double number)
{
    bool is_percent = strcmp(field->type->name, "percent") == 0;

    number = formula_math_round(is_percent ? number * 100 : number, field->scale);
    if (field->type->kind == KIND_INTEGER && fabs(number) < 9e15)
        sqlite3_result_int64(context, (int64_t)number);
    else
        sqlite3_result_double(context, number);
}

static void answer_text(sqlite3_context *context, const char *text)
{
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

/* A condition, which has no field, is a boolean. */
static void answer(sqlite3_context *context, const struct field *field,
                   const struct formula_value *value)
{
    enum field_kind kind = field != NULL ? field->type->kind : KIND_BOOLEAN;

    if (kind == KIND_BOOLEAN)
        sqlite3_result_int(context, !value->is_null && value->number != 0);
    else if (formula_is_blank(value))
        sqlite3_result_null(context);
    else if (kind == KIND_TEXT)
        answer_text(context, value->text);
    else if (kind == KIND_DATE)
        answer_text(context, times_format_date((int64_t)value->number).text);
    else if (kind == KIND_DATETIME)
        answer_text(context, times_format_datetime((int64_t)value->number).text);
    else
        answer_number(context, field, value->number);
}

/* ---- SQLite's functions ---- */

static void call_formula(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct formulas *formulas = sqlite3_user_data(context);
    size_t number = count > 0 ? (size_t)sqlite3_value_int64(values[0]) : formulas->count;
    const struct formula *formula = number < formulas->count ? formulas->list[number] : NULL;
    struct formula_value inputs[FORMULA_MAX_INPUTS];

    if (formula == NULL || formula->input_count != (size_t)count - 1) {
        sqlite3_result_error(context, "there is no such formula", -1);
        return;
    }
    for (size_t i = 0; i < formula->input_count; i++)
        inputs[i] = read_input(formulas, formula, i, values[i + 1]);
    const struct formula_run run = {
        .arena = formulas->arena, .now_s = org_now(formulas->org), .inputs = inputs};
    struct formula_value value = formula_evaluate(&run, formula->root);
    answer(context, formula->field, &value);
    arena_reset(formulas->arena);
}

static void call_user(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct formulas *formulas = sqlite3_user_data(context);

    (void)count;
    (void)values;
    answer_text(context, formulas->org->user_id);
}

/* What a roll-up stamps its master with; null: nothing. */
static void call_stamp(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct formulas *formulas = sqlite3_user_data(context);

    (void)count;
    (void)values;
    if (formulas->org->rules->keeps_stamps)
        sqlite3_result_null(context);
    else
        answer_text(context, times_format_datetime(org_stamp(formulas->org)).text);
}

/* Whether a roll-up's change goes into a change event. */
static void call_tells(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct formulas *formulas = sqlite3_user_data(context);

    (void)count;
    (void)values;
    sqlite3_result_int(context, events_is_collecting(formulas->org->events));
}

/* ---- life ---- */

struct formulas *formulas_new(struct org *org)
{
    struct formulas *formulas = memory_alloc(sizeof(*formulas));
    sqlite3 *database = store_database(org->store);

    formulas->org = org;
    formulas->arena = arena_new();
    sqlite3_create_function_v2(database, "sandbox_formula", -1, SQLITE_UTF8, formulas, call_formula,
                               NULL, NULL, NULL);
    sqlite3_create_function_v2(database, "sandbox_user", 0, SQLITE_UTF8, formulas, call_user, NULL,
                               NULL, NULL);
    sqlite3_create_function_v2(database, "sandbox_stamp", 0, SQLITE_UTF8, formulas, call_stamp,
                               NULL, NULL, NULL);
    sqlite3_create_function_v2(database, "sandbox_tells", 0, SQLITE_UTF8, formulas, call_tells,
                               NULL, NULL, NULL);
    return formulas;
}

void formulas_free(struct formulas *formulas)
{
    if (formulas == NULL)
        return;
    arena_free(formulas->arena);
    free(formulas->list);
    free(formulas);
}

/* ---- binding ---- */

struct formula *formulas_add(struct org *org, const struct formula_source *source,
                             struct error *err)
{
    struct formulas *formulas = org->formulas;
    struct formula *formula = formula_check(schema_arena(org->schema), source, err);

    if (formula == NULL)
        return NULL;
    if (formulas->count == formulas->room) {
        formulas->room = formulas->room > 0 ? formulas->room * 2 : 64;
        formulas->list = memory_realloc(formulas->list, formulas->room * sizeof(*formulas->list));
    }
    formula->number = formulas->count;
    formulas->list[formulas->count++] = formula;
    return formula;
}

static bool bind_fields(struct org *org, const struct object *object, struct error *err)
{
    for (size_t i = 0; i < object->field_count; i++) {
        struct field *field = (struct field *)object->fields[i];
        const struct formula_source source = {.schema = org->schema,
                                              .object = object,
                                              .field = field,
                                              .text = field->formula,
                                              .blanks_are_zero = !field->keeps_blanks};

        if (field->formula == NULL || field->computed != NULL)
            continue;
        field->computed = formulas_add(org, &source, err);
        if (field->computed == NULL)
            return error_prefix(err, "%s.%s", object->name, field->name);
    }
    return true;
}

/* There is no record yet whose fields it could read. */
static bool check_default(const struct formula *formula, struct error *err)
{
    for (size_t i = 0; i < formula->input_count; i++)
        if (!formula->inputs[i].is_of_user)
            return error_set(err, ERROR_CONFIG,
                             "a default reads no field of the record, only $User; use a formula "
                             "field or a validation rule");
    return true;
}

static bool bind_defaults(struct org *org, const struct object *object, struct error *err)
{
    for (size_t i = 0; i < object->field_count; i++) {
        struct field *field = (struct field *)object->fields[i];
        const struct formula_source source = {.schema = org->schema,
                                              .object = object,
                                              .field = field,
                                              .text = field->default_formula};

        if (field->default_formula == NULL || field->default_computed != NULL)
            continue;
        field->default_computed = formulas_add(org, &source, err);
        if (field->default_computed == NULL || !check_default(field->default_computed, err))
            return error_prefix(err, "%s.%s: defaultValueFormula", object->name, field->name);
    }
    return true;
}

static bool bind_rules(struct org *org, const struct object *object, struct error *err)
{
    for (size_t i = 0; i < object->rule_count; i++) {
        struct validation_rule *rule = &object->rules[i];
        const struct formula_source source = {
            .schema = org->schema, .object = object, .text = rule->text, .is_rule = true};

        if (rule->field != NULL && schema_field(object, rule->field) == NULL)
            return error_set(err, ERROR_CONFIG, "%s: errorDisplayField names no field: %s",
                             object->name, rule->field);
        if (rule->condition == NULL)
            rule->condition = formulas_add(org, &source, err);
        if (rule->condition == NULL)
            return error_prefix(err, "a validation rule of %s", object->name);
    }
    return true;
}

/* Formulas name each other by their fields, so only the whole shows whether it can be written. */
static bool check_size(const struct formula *formula, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, FORMULA_SQL_MAX_BYTES);
    if (formula_sql_write(formula, "t", &sql))
        return true;
    const char *name = formula->field != NULL ? formula->field->name : "a condition";
    if (buf_is_full(&sql))
        return error_set(err, ERROR_CONFIG,
                         "%s.%s: the formulas it is made of are too long together; name fewer "
                         "formula fields",
                         formula->object->name, name);
    return error_set(err, ERROR_CONFIG,
                     "%s.%s: the formula names itself, or formulas that name formulas more than %d "
                     "deep; break the circle",
                     formula->object->name, name, FORMULA_SQL_MAX_NESTED);
}

static bool write_rules(const struct object *object, struct buf *sql);

static bool check_rules_size(const struct object *object, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, MAX_SQL_BYTES);
    return object->rule_count == 0 || write_rules(object, &sql) ||
           error_set(err, ERROR_CONFIG,
                     "%s: its validation rules are too long together; name fewer formula fields",
                     object->name);
}

bool formulas_bind(struct org *org, struct error *err)
{
    size_t first = org->formulas->count;

    for (size_t i = 0; i < schema_count(org->schema); i++)
        if (!bind_fields(org, schema_at(org->schema, i), err) ||
            !bind_defaults(org, schema_at(org->schema, i), err) ||
            !bind_rules(org, schema_at(org->schema, i), err))
            return false;
    for (size_t i = first; i < org->formulas->count; i++)
        if (!check_size(org->formulas->list[i], err))
            return false;
    for (size_t i = 0; i < schema_count(org->schema); i++)
        if (!check_rules_size(schema_at(org->schema, i), err))
            return false;
    return true;
}

/* ---- defaults ---- */

bool formulas_default(struct save *save, const struct field *field, struct value *value,
                      struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    buf_init(&sql, FORMULA_SQL_MAX_BYTES);
    buf_text(&sql, "select ");
    if (!formula_sql_write(field->default_computed, "t", &sql))
        return error_set(err, ERROR_BUG, "the default of %s is too long", field->name);
    if (!store_prepare(save->org->store, sql.data, &statement, err) ||
        !store_step(save->org->store, statement, &has_row, err))
        return false;
    if (has_row)
        *value = store_column(save->arena, statement, 0);
    sqlite3_reset(statement);
    return true;
}

/* ---- validation rules ---- */

/* The draft as a row named t, its former self beside it as o, a condition in each column. */
static bool write_rules(const struct object *object, struct buf *sql)
{
    const char *separator = "select ";

    for (size_t i = 0; i < object->rule_count; i++) {
        buf_text(sql, separator);
        if (!formula_sql_write(object->rules[i].condition, "t", sql))
            return false;
        separator = ", ";
    }
    separator = " from (select ";
    for (size_t i = 0; i < object->field_count; i++) {
        if (!schema_is_stored(object->fields[i]))
            continue;
        buf_printf(sql, "%s?%zu as \"%s\"", separator, i + 1, object->fields[i]->name);
        separator = ", ";
    }
    buf_printf(sql, ") t left join \"%s\" o on o.\"Id\" = t.\"Id\"", object->name);
    return !buf_is_full(sql);
}

static void add_violations(struct draft *draft, sqlite3_stmt *statement)
{
    const struct object *object = draft->save->object;

    for (size_t i = 0; i < object->rule_count; i++) {
        const struct validation_rule *rule = &object->rules[i];

        if (rule->is_active && sqlite3_column_int(statement, (int)i) != 0)
            errors_add(&draft->save->errors, "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                       rule->field != NULL ? rule->field : "", "%s", rule->message);
    }
}

bool formulas_check_rules(struct draft *draft, struct error *err)
{
    const struct object *object = draft->save->object;
    struct store *store = draft->save->org->store;
    struct buf sql BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (object->rule_count == 0 || draft->save->org->rules->skips_validation)
        return true;
    buf_init(&sql, MAX_SQL_BYTES);
    if (!write_rules(object, &sql))
        return error_set(err, ERROR_BUG, "the validation rules of %s are too long together",
                         object->name);
    if (!store_prepare(store, sql.data, &statement, err))
        return false;
    for (size_t i = 0; i < object->field_count; i++)
        if (schema_is_stored(object->fields[i]))
            store_bind(statement, (int)i + 1, &draft->values[i]);
    if (!store_step(store, statement, &has_row, err))
        return false;
    if (has_row)
        add_violations(draft, statement);
    sqlite3_reset(statement);
    return true;
}
