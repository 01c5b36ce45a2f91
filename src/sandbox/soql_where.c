#include "sandbox/soql_where.h"

#include <string.h>
#include <strings.h>

#include "sandbox/ids.h"
#include "sandbox/soql_dates.h"
#include "sandbox/soql_terms.h"
#include "sandbox/times.h"

/* A comparison: what stands on its left. */
struct comparison {
    struct soql_compiler *compiler;
    struct buf *sql;
    const struct soql_node *node;
    const struct field *field;
    const char *column; /* t0."Name" */
};

static bool refuse(const struct comparison *comparison, const char *code, size_t position,
                   const char *message)
{
    struct soql_compiler *compiler = comparison->compiler;

    return soql_parse_refuse(compiler->context->errors, code, compiler->query->text, position,
                             message);
}

static bool refuse_literal(const struct comparison *comparison, const struct soql_literal *literal)
{
    const char *type = comparison->field->type->name;
    bool is_quoted = comparison->field->type->kind <= KIND_ID;
    const char *shown = strcmp(type, "datetime") == 0 ? "dateTime" : type;

    return refuse(comparison, "INVALID_FIELD", literal->position,
                  arena_printf(comparison->compiler->arena,
                               "value of filter criterion for field '%s' must be of type %s and "
                               "should %sbe enclosed in quotes",
                               comparison->field->name, shown, is_quoted ? "" : "not "));
}

/* Takes the backslashes off that the lexer left for LIKE. */
static const char *plain_text(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) + 1);
    size_t used = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0')
            text++;
        out[used++] = *text;
    }
    return out;
}

static bool read_id(const struct comparison *comparison, const struct soql_literal *literal,
                    struct value *value)
{
    struct arena *arena = comparison->compiler->arena;
    struct ids_text id;

    if (!ids_normalize(literal->text, &id))
        return refuse(comparison, "INVALID_QUERY_FILTER_OPERATOR", literal->position,
                      arena_printf(arena, "invalid ID field: %s", literal->text));
    *value = value_text(arena_strdup(arena, id.text));
    return true;
}

static bool read_string(const struct comparison *comparison, const struct soql_literal *literal,
                        struct value *value)
{
    struct arena *arena = comparison->compiler->arena;

    if (literal->kind != SOQL_STRING)
        return refuse_literal(comparison, literal);
    if (*literal->text == '\0')
        return true;
    if (comparison->field->type->kind == KIND_ID)
        return read_id(comparison, literal, value);
    *value = value_text(plain_text(arena, literal->text));
    return true;
}

static bool read_moment(const struct comparison *comparison, const struct soql_literal *literal,
                        struct value *value)
{
    struct arena *arena = comparison->compiler->arena;
    enum field_kind kind = comparison->field->type->kind;
    struct times_text text;
    int64_t seconds = 0;

    if (kind == KIND_TIME) {
        if (literal->kind != SOQL_DATETIME || !times_parse_time(literal->text, &text))
            return refuse_literal(comparison, literal);
    } else if (kind == KIND_DATE && literal->kind == SOQL_DATE &&
               times_parse_date(literal->text, &seconds)) {
        text = times_format_date(seconds);
    } else if (kind == KIND_DATETIME && literal->kind == SOQL_DATETIME &&
               times_parse_datetime(literal->text, false, &seconds)) {
        text = times_format_datetime(seconds);
    } else {
        return refuse_literal(comparison, literal);
    }
    *value = value_text(arena_strdup(arena, text.text));
    return true;
}

/* A literal as a value of the field; null stays null. */
static bool read_literal(const struct comparison *comparison, const struct soql_literal *literal,
                         struct value *value)
{
    enum field_kind kind = comparison->field->type->kind;

    *value = (struct value){.kind = VALUE_NULL};
    if (literal->kind == SOQL_NULL) {
        if (kind == KIND_BOOLEAN)
            *value = value_integer(0);
        return true;
    }
    switch (kind) {
    case KIND_TEXT:
    case KIND_ID: return read_string(comparison, literal, value);
    case KIND_BOOLEAN:
        if (literal->kind != SOQL_BOOLEAN)
            return refuse_literal(comparison, literal);
        *value = value_integer(literal->boolean);
        return true;
    case KIND_INTEGER:
    case KIND_REAL:
        if (literal->kind != SOQL_NUMBER)
            return refuse_literal(comparison, literal);
        *value = value_real(literal->number);
        return true;
    default: return read_moment(comparison, literal, value);
    }
}

/* ---- ranges of days ---- */

static struct value range_value(const struct comparison *comparison, int64_t seconds)
{
    bool is_date = comparison->field->type->kind == KIND_DATE;
    struct times_text text = is_date ? times_format_date(seconds) : times_format_datetime(seconds);

    return value_text(arena_strdup(comparison->compiler->arena, text.text));
}

static void append_bound(const struct comparison *comparison, const char *operator, int64_t seconds)
{
    buf_printf(comparison->sql, "%s %s ", comparison->column, operator);
    soql_names_bind(comparison->compiler, comparison->sql, range_value(comparison, seconds));
}

static bool append_range(const struct comparison *comparison, const struct soql_literal *literal)
{
    struct soql_range range;
    enum field_kind kind = comparison->field->type->kind;
    struct buf *sql = comparison->sql;

    if (kind != KIND_DATE && kind != KIND_DATETIME)
        return refuse_literal(comparison, literal);
    if (!soql_dates_find(literal->text, (int64_t)literal->number,
                         comparison->compiler->context->now_s, &range))
        return refuse(
            comparison, "MALFORMED_QUERY", literal->position,
            arena_printf(comparison->compiler->arena, "unexpected token: '%s'", literal->text));
    switch (comparison->node->operator) {
    case SOQL_LESS: append_bound(comparison, "<", range.start_s); return true;
    case SOQL_LESS_OR_EQUAL: append_bound(comparison, "<", range.end_s); return true;
    case SOQL_GREATER: append_bound(comparison, ">=", range.end_s); return true;
    case SOQL_GREATER_OR_EQUAL: append_bound(comparison, ">=", range.start_s); return true;
    default: break;
    }
    bool is_negated = comparison->node->operator== SOQL_NOT_EQUAL;
    buf_text(sql, is_negated ? "not ifnull(" : "(");
    append_bound(comparison, ">=", range.start_s);
    buf_text(sql, " and ");
    append_bound(comparison, "<", range.end_s);
    buf_text(sql, is_negated ? ", 0)" : ")");
    return true;
}

/* ---- operators ---- */

static bool append_plain(const struct comparison *comparison, const struct value *value)
{
    static const char *const signs[] = {
        [SOQL_EQUAL] = "=",          [SOQL_NOT_EQUAL] = "is not", [SOQL_LESS] = "<",
        [SOQL_LESS_OR_EQUAL] = "<=", [SOQL_GREATER] = ">",        [SOQL_GREATER_OR_EQUAL] = ">=",
    };
    enum soql_operator operator= comparison->node->operator;

    if (value->kind == VALUE_NULL && operator<= SOQL_NOT_EQUAL) {
        buf_printf(comparison->sql, "%s is %snull",
                   comparison->column, operator== SOQL_EQUAL ? "" : "not ");
        return true;
    }
    buf_printf(comparison->sql, "%s %s ", comparison->column, signs[operator]);
    soql_names_bind(comparison->compiler, comparison->sql, *value);
    return true;
}

static bool append_like(const struct comparison *comparison, const struct soql_literal *literal)
{
    if (comparison->field->type->kind != KIND_TEXT)
        return refuse(comparison, "INVALID_QUERY_FILTER_OPERATOR", comparison->node->path.position,
                      arena_printf(comparison->compiler->arena, "invalid operator on %s field",
                                   comparison->field->type->name));
    if (literal->kind != SOQL_STRING)
        return refuse_literal(comparison, literal);
    buf_printf(comparison->sql, "%s like ", comparison->column);
    soql_names_bind(comparison->compiler, comparison->sql, value_text(literal->text));
    buf_text(comparison->sql, " escape '\\'");
    return true;
}

/* "A;B" holds for a row that has both; the row's text is framed by semicolons to find whole values.
 */
static bool append_multiple(const struct comparison *comparison, const struct soql_literal *literal)
{
    struct arena *arena = comparison->compiler->arena;
    const char *text = plain_text(arena, literal->text);
    const char *separator = "";

    if (literal->kind != SOQL_STRING)
        return refuse_literal(comparison, literal);
    buf_char(comparison->sql, '(');
    do {
        size_t length = strcspn(text, ";");
        const char *framed = arena_printf(arena, ";%.*s;", (int)length, text);

        buf_printf(comparison->sql, "%sinstr(';' || %s || ';', ", separator, comparison->column);
        soql_names_bind(comparison->compiler, comparison->sql, value_text(framed));
        buf_text(comparison->sql, ") > 0");
        separator = " and ";
        text += length + (text[length] == ';');
    } while (*text != '\0');
    buf_char(comparison->sql, ')');
    return true;
}

static bool append_includes(const struct comparison *comparison)
{
    const char *separator = "";
    bool is_negated = comparison->node->operator== SOQL_EXCLUDES;

    if (strcmp(comparison->field->type->name, "multipicklist") != 0)
        return refuse(comparison, "INVALID_QUERY_FILTER_OPERATOR", comparison->node->path.position,
                      "includes or excludes operator only valid on multipicklist field");
    buf_text(comparison->sql, is_negated ? "not ifnull((" : "(");
    for (const struct soql_literal *each = comparison->node->literals; each != NULL;
         each = each->next) {
        buf_text(comparison->sql, separator);
        separator = " or ";
        if (!append_multiple(comparison, each))
            return false;
    }
    buf_text(comparison->sql, is_negated ? "), 0)" : ")");
    return true;
}

static bool append_in_list(const struct comparison *comparison, bool *has_null)
{
    const char *separator = "";

    for (const struct soql_literal *each = comparison->node->literals; each != NULL;
         each = each->next) {
        struct value value;

        if (!read_literal(comparison, each, &value))
            return false;
        *has_null = *has_null || value.kind == VALUE_NULL;
        if (value.kind == VALUE_NULL)
            continue;
        buf_text(comparison->sql, separator);
        soql_names_bind(comparison->compiler, comparison->sql, value);
        separator = ", ";
    }
    return true;
}

/* A null in the list means rows without a value; NOT IN holds for those unless null is listed. */
static bool append_in(const struct comparison *comparison)
{
    bool is_negated = comparison->node->operator== SOQL_NOT_IN;
    bool has_null = false;

    buf_printf(comparison->sql, "(%s %sin (", comparison->column, is_negated ? "not " : "");
    if (comparison->node->semi_join != NULL && comparison->compiler->or_depth > 0)
        return refuse(comparison, "MALFORMED_QUERY", comparison->node->path.position,
                      "Semi join sub-selects are not allowed with the 'OR' operator");
    if (comparison->node->semi_join != NULL) {
        if (!soql_plan_semi_join(comparison->compiler, comparison->sql,
                                 comparison->node->semi_join))
            return false;
    } else if (!append_in_list(comparison, &has_null)) {
        return false;
    }
    buf_text(comparison->sql, ")");
    if (is_negated && has_null)
        buf_printf(comparison->sql, " and %s is not null", comparison->column);
    else if (is_negated || has_null)
        buf_printf(comparison->sql, " or %s is null", comparison->column);
    buf_text(comparison->sql, ")");
    return true;
}

static bool append_comparison(struct soql_compiler *compiler, struct buf *sql,
                              const struct soql_node *node)
{
    struct soql_term term;
    struct comparison comparison = {.compiler = compiler, .sql = sql, .node = node};
    const struct soql_literal *literal = node->literals;
    struct value value;

    if (!soql_terms_resolve(compiler, &node->path, node->function, &term))
        return false;
    comparison.field = term.field;
    comparison.column = term.sql;
    if (term.is_aggregate && !compiler->is_in_having)
        return refuse(&comparison, "MALFORMED_QUERY", node->path.position,
                      "Aggregate functions are only allowed in HAVING");
    if (!comparison.field->is_filterable || comparison.field->type->kind == KIND_COMPOUND)
        return refuse(&comparison, "INVALID_FIELD", node->path.position,
                      arena_printf(compiler->arena,
                                   "field '%s' can not be filtered in a query call",
                                   comparison.field->name));
    switch (node->operator) {
    case SOQL_LIKE: return append_like(&comparison, literal);
    case SOQL_IN:
    case SOQL_NOT_IN: return append_in(&comparison);
    case SOQL_INCLUDES:
    case SOQL_EXCLUDES: return append_includes(&comparison);
    default: break;
    }
    if (literal->kind == SOQL_RANGE && comparison.field->type->kind != KIND_TEXT)
        return append_range(&comparison, literal);
    return read_literal(&comparison, literal, &value) && append_plain(&comparison, &value);
}

/* Halves, so that the SQL's depth is the logarithm of the number of operands. */
static bool append_chain(struct soql_compiler *compiler, struct buf *sql,
                         const struct soql_node **operands, size_t count, const char *word)
{
    if (count == 1)
        return soql_where(compiler, sql, operands[0]);
    buf_char(sql, '(');
    if (!append_chain(compiler, sql, operands, count / 2, word))
        return false;
    buf_text(sql, word);
    if (!append_chain(compiler, sql, operands + count / 2, count - count / 2, word))
        return false;
    buf_char(sql, ')');
    return true;
}

static bool append_operands(struct soql_compiler *compiler, struct buf *sql,
                            const struct soql_node *node)
{
    size_t count = 0;

    for (const struct soql_node *each = node->first; each != NULL; each = each->next)
        count++;
    const struct soql_node **operands =
        arena_array(compiler->arena, const struct soql_node *, count);
    count = 0;
    for (const struct soql_node *each = node->first; each != NULL; each = each->next)
        operands[count++] = each;
    return append_chain(compiler, sql, operands, count, node->kind == SOQL_AND ? " and " : " or ");
}

/* SOQL knows two truth values: under NOT, what SQL calls unknown is false. */
bool soql_where(struct soql_compiler *compiler, struct buf *sql, const struct soql_node *node)
{
    if (node->kind == SOQL_COMPARE)
        return append_comparison(compiler, sql, node);
    if (node->kind != SOQL_NOT) {
        compiler->or_depth += node->kind == SOQL_OR;
        bool is_appended = append_operands(compiler, sql, node);
        compiler->or_depth -= node->kind == SOQL_OR;
        return is_appended;
    }
    buf_text(sql, "not ifnull(");
    if (!soql_where(compiler, sql, node->first))
        return false;
    buf_text(sql, ", 0)");
    return true;
}
