#include "sandbox/soql_format.h"

#include <string.h>

static const struct field_type text_type = {"string", "xsd:string", "String", KIND_TEXT, 0};
static const struct field text_field = {
    .type = &text_type, .name = "expression", .is_filterable = true};

/* 1234.5 is 1,234.50: the digits before the point in threes, then the rest as it is. */
static const char *show_number(struct arena *arena, const char *sql, int scale)
{
    const char *fixed = arena_printf(arena, "printf('%%.%df', abs(%s))", scale, sql);
    const char *rest =
        scale > 0 ? arena_printf(arena, " || substr(%s, -%d)", fixed, scale + 1) : "";

    return arena_printf(arena, "printf('%%,d', cast(%s as integer))%s", fixed, rest);
}

static const char *show_signed(struct arena *arena, const char *sql, const char *unit,
                               const char *number)
{
    return arena_printf(arena, "(case when %s < 0 then '-' else '' end || %s%s)", sql, unit,
                        number);
}

/* The currency an amount is in, where there are several: the record's, or what it was converted or
 * added up to. */
static const char *currency_code(struct soql_compiler *compiler, const struct soql_term *term)
{
    if (term->is_computed || term->is_aggregate)
        return "(select \"IsoCode\" from \"CurrencyType\" where \"IsCorporate\" = 1)";
    return soql_names_column(compiler, term->join, "CurrencyIsoCode");
}

/* $1,234.50; where there are several currencies, EUR 1,234.50. */
static const char *show_amount(struct soql_compiler *compiler, const struct soql_term *term)
{
    const char *number = show_number(compiler->arena, term->sql, term->source->scale);

    if (schema_field(term->join->object, "CurrencyIsoCode") == NULL)
        return show_signed(compiler->arena, term->sql, "'$' || ", number);
    return arena_printf(compiler->arena, "%s || ' ' || %s", currency_code(compiler, term),
                        show_signed(compiler->arena, term->sql, "", number));
}

/* 2026-01-31 is 1/31/2026. */
static const char *show_date(struct arena *arena, const char *sql)
{
    return arena_printf(arena,
                        "cast(substr(%s, 6, 2) as integer) || '/' || "
                        "cast(substr(%s, 9, 2) as integer) || '/' || substr(%s, 1, 4)",
                        sql, sql, sql);
}

/* 13:05 is 1:05 PM. */
static const char *show_moment(struct arena *arena, const char *sql)
{
    return arena_printf(arena,
                        "%s || ', ' || ((cast(substr(%s, 12, 2) as integer) + 11) %% 12 + 1) || "
                        "substr(%s, 14, 3) || "
                        "case when substr(%s, 12, 2) < '12' then ' AM' else ' PM' end",
                        show_date(arena, sql), sql, sql, sql);
}

void soql_format_show(struct soql_compiler *compiler, struct soql_term *term)
{
    struct arena *arena = compiler->arena;
    const char *shown = term->sql;

    switch (term->field->type->kind) {
    case KIND_DATE: shown = show_date(arena, term->sql); break;
    case KIND_DATETIME: shown = show_moment(arena, term->sql); break;
    case KIND_INTEGER:
    case KIND_REAL:
        shown = strcmp(term->source->type->name, "currency") == 0
                    ? show_amount(compiler, term)
                    : show_signed(arena, term->sql, "",
                                  show_number(arena, term->sql, term->source->scale));
        if (strcmp(term->field->type->name, "percent") == 0)
            shown = arena_printf(arena, "%s || '%%'", shown);
        break;
    default: return;
    }
    term->sql = arena_printf(arena, "case when %s is not null then %s end", term->sql, shown);
    term->field = &text_field;
    term->keeps_type = true;
    term->is_computed = true;
}

void soql_format_convert(struct soql_compiler *compiler, struct soql_term *term)
{
    bool has_currencies =
        term->join->choices == NULL && schema_field(term->join->object, "CurrencyIsoCode") != NULL;

    if (!has_currencies || strcmp(term->field->type->name, "currency") != 0)
        return;
    term->sql = arena_printf(compiler->arena,
                             "(%s / (select \"ConversionRate\" from \"CurrencyType\" "
                             "where \"IsoCode\" = %s))",
                             term->sql, soql_names_column(compiler, term->join, "CurrencyIsoCode"));
    term->is_computed = true;
}
