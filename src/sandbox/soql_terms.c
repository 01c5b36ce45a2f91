#include "sandbox/soql_terms.h"

#include <string.h>
#include <strings.h>

#include "sandbox/soql_format.h"

static const struct field_type integer_type = {"int", "xsd:int", "Integer", KIND_INTEGER, 0};
static const struct field_type real_type = {"double", "xsd:double", "Double", KIND_REAL, 0};
static const struct field_type date_type = {"date", "xsd:date", "Date", KIND_DATE, 0};

static const struct field integer_field = {
    .type = &integer_type, .name = "expression", .is_filterable = true};
static const struct field real_field = {
    .type = &real_type, .name = "expression", .is_filterable = true};
static const struct field date_field = {
    .type = &date_type, .name = "expression", .is_filterable = true};

/* $ stands for the column. A datetime begins with its day: 2026-01-31T10:20:30. */
#define DAY         "substr($, 1, 10)"
#define MONTH       "cast(substr($, 6, 2) as integer)"
#define DAY_OF_YEAR "cast(strftime('%j', " DAY ") as integer)"

static const struct function {
    const char *name;
    const char *sql;
    const struct field *field; /* NULL: the column's own type */
    bool is_aggregate;
    bool is_of_days;
} functions[] = {
    {"COUNT", "count($)", &integer_field, true, false},
    {"COUNT_DISTINCT", "count(distinct $)", &integer_field, true, false},
    {"MIN", "min($)", NULL, true, false},
    {"MAX", "max($)", NULL, true, false},
    {"SUM", "sum($)", &real_field, true, false},
    {"AVG", "avg($)", &real_field, true, false},
    {"CALENDAR_YEAR", "cast(substr($, 1, 4) as integer)", &integer_field, false, true},
    {"CALENDAR_QUARTER", "(" MONTH " + 2) / 3", &integer_field, false, true},
    {"CALENDAR_MONTH", MONTH, &integer_field, false, true},
    {"FISCAL_YEAR", "cast(substr($, 1, 4) as integer)", &integer_field, false, true},
    {"FISCAL_QUARTER", "(" MONTH " + 2) / 3", &integer_field, false, true},
    {"FISCAL_MONTH", MONTH, &integer_field, false, true},
    {"DAY_IN_MONTH", "cast(substr($, 9, 2) as integer)", &integer_field, false, true},
    {"DAY_IN_WEEK", "cast(strftime('%w', " DAY ") as integer) + 1", &integer_field, false, true},
    {"DAY_IN_YEAR", DAY_OF_YEAR, &integer_field, false, true},
    {"WEEK_IN_MONTH", "(cast(substr($, 9, 2) as integer) + 6) / 7", &integer_field, false, true},
    {"WEEK_IN_YEAR", "(" DAY_OF_YEAR " + 6) / 7", &integer_field, false, true},
    {"HOUR_IN_DAY", "cast(substr($, 12, 2) as integer)", &integer_field, false, true},
    {"DAY_ONLY", DAY, &date_field, false, true},
    {"FORMAT", "$", NULL, false, false},
    {"toLabel", "$", NULL, false, false},
    {"convertCurrency", "$", NULL, false, false},
    {"convertTimezone", "$", NULL, false, false},
};

static const struct function *find_function(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcasecmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}

bool soql_terms_is_aggregate(const char *function)
{
    const struct function *found = find_function(function);

    return found != NULL && found->is_aggregate;
}

static bool refuse(struct soql_compiler *compiler, const struct soql_path *path, const char *code,
                   const char *message)
{
    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, path->position,
                             message);
}

static const char *put_column(struct arena *arena, const char *sql, const char *column)
{
    const char *out = "";

    for (const char *mark = strchr(sql, '$'); mark != NULL; mark = strchr(sql, '$')) {
        out = arena_printf(arena, "%s%.*s%s", out, (int)(mark - sql), sql, column);
        sql = mark + 1;
    }
    return arena_printf(arena, "%s%s", out, sql);
}

static bool fits(const struct function *function, const struct field *field)
{
    enum field_kind kind = field->type->kind;
    bool is_number = kind == KIND_INTEGER || kind == KIND_REAL;

    if (function->is_of_days)
        return kind == KIND_DATE || kind == KIND_DATETIME;
    return kind != KIND_COMPOUND && (function->field != &real_field || is_number);
}

bool soql_terms_resolve(struct soql_compiler *compiler, const struct soql_path *path,
                        const char *function, struct soql_term *term)
{
    const struct function *found = function != NULL ? find_function(function) : NULL;

    *term = (struct soql_term){0};
    term->field = soql_names_resolve(compiler, path, &term->join);
    if (term->field == NULL)
        return false;
    term->source = term->field;
    term->sql = soql_names_column(compiler, term->join, term->field->name);
    term->keeps_type = true;
    if (function == NULL)
        return true;
    if (path->is_converted)
        soql_format_convert(compiler, term);
    if (found == NULL)
        return refuse(compiler, path, "MALFORMED_QUERY",
                      arena_printf(compiler->arena, "unexpected function: '%s'", function));
    if (!fits(found, term->field))
        return refuse(compiler, path, "MALFORMED_QUERY",
                      arena_printf(compiler->arena,
                                   "field %s does not support aggregate operator "
                                   "%s",
                                   term->field->name, function));
    term->sql = put_column(compiler->arena, found->sql, term->sql);
    term->is_aggregate = found->is_aggregate;
    term->keeps_type = found->field == NULL;
    if (found->field != NULL)
        term->field = found->field;
    if (path->is_formatted)
        soql_format_show(compiler, term);
    return true;
}
