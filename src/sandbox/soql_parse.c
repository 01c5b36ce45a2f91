#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/soql_parse_where.h"

enum { CONTEXT_BYTES = 60 };

bool soql_parse_refuse(struct record_errors *errors, const char *code, const char *text,
                       size_t position, const char *message)
{
    struct arena *arena = errors->arena;
    size_t row = 1;
    size_t line_start = 0;

    for (size_t i = 0; i < position && text[i] != '\0'; i++)
        if (text[i] == '\n') {
            row++;
            line_start = i + 1;
        }
    size_t column = position - line_start;
    size_t from = column > CONTEXT_BYTES ? position - CONTEXT_BYTES : line_start;
    size_t length = strcspn(text + from, "\n");
    if (length > 2 * CONTEXT_BYTES)
        length = 2 * CONTEXT_BYTES;
    return errors_add(errors, code, "", "\n%s\n%*s\nERROR at Row:%zu:Column:%zu\n%s",
                      arena_strndup(arena, text + from, length), (int)(position - from + 1), "^",
                      row, column + 1, message);
}

static const char *parse_alias(struct soql_parser *parser)
{
    soql_parser_accept_word(parser, "AS");
    if (parser->token.kind != TOKEN_NAME || soql_parser_is_clause(parser))
        return NULL;
    return soql_parser_expect_name(parser);
}

/* After a name and "(" . */
static void parse_function(struct soql_parser *parser, struct soql_item *item)
{
    if (item->path.count == 1 && strcasecmp(item->path.names[0], "COUNT") == 0 &&
        soql_parser_accept_sign(parser, ")")) {
        item->function = item->path.names[0];
        item->kind = SOQL_COUNT;
        return;
    }
    item->function = soql_parser_call(parser, &item->path);
    item->kind = strcasecmp(item->function, "FIELDS") == 0 ? SOQL_FIELDS : SOQL_AGGREGATE;
    if (item->kind == SOQL_AGGREGATE)
        item->alias = parse_alias(parser);
}

/* What looks like an alias but has neither a comma nor FROM behind it is the mistake itself. */
static void parse_field_alias(struct soql_parser *parser, struct soql_item *item)
{
    const struct token before = parser->token;

    item->alias = parse_alias(parser);
    if (item->alias == NULL || parser->has_failed || soql_parser_is_word(parser, "FROM") ||
        (parser->token.kind == TOKEN_SIGN && strcmp(parser->token.text, ",") == 0))
        return;
    parser->token = before;
    soql_parser_fail(parser);
}

/* The fields of a WHEN or an ELSE. */
static void parse_choice(struct soql_parser *parser, struct soql_choice *choice)
{
    struct soql_item **end = &choice->items;

    do {
        *end = arena_alloc(parser->lexer.arena, sizeof(**end));
        (*end)->kind = SOQL_FIELD;
        (*end)->path = soql_parser_path(parser);
        end = &(*end)->next;
    } while (soql_parser_accept_sign(parser, ",") && !parser->has_failed);
}

static void parse_type_of(struct soql_parser *parser, struct soql_item *item)
{
    struct soql_choice **end = &item->choices;

    item->kind = SOQL_TYPE_OF;
    item->path = soql_parser_path(parser);
    while (soql_parser_is_word(parser, "WHEN") || soql_parser_is_word(parser, "ELSE")) {
        bool is_last = soql_parser_is_word(parser, "ELSE");

        soql_parser_advance(parser);
        *end = arena_alloc(parser->lexer.arena, sizeof(**end));
        (*end)->position = parser->token.position;
        if (!is_last) {
            (*end)->type = soql_parser_expect_name(parser);
            soql_parser_expect_word(parser, "THEN");
        }
        parse_choice(parser, *end);
        end = &(*end)->next;
        if (is_last)
            break;
    }
    if (item->choices == NULL)
        soql_parser_fail(parser);
    soql_parser_expect_word(parser, "END");
}

static struct soql_item *parse_item(struct soql_parser *parser)
{
    struct soql_item *item = arena_alloc(parser->lexer.arena, sizeof(*item));

    if (soql_parser_accept_sign(parser, "(")) {
        item->kind = SOQL_CHILDREN;
        item->children = soql_parse_nested(parser);
        soql_parser_expect_sign(parser, ")");
        return item;
    }
    item->kind = SOQL_FIELD;
    item->path = soql_parser_path(parser);
    if (item->path.count == 1 && strcasecmp(item->path.names[0], "TYPEOF") == 0 &&
        parser->token.kind == TOKEN_NAME && !soql_parser_is_word(parser, "FROM"))
        parse_type_of(parser, item);
    else if (soql_parser_accept_sign(parser, "("))
        parse_function(parser, item);
    else
        parse_field_alias(parser, item);
    return item;
}

static void parse_items(struct soql_parser *parser, struct soql_query *query)
{
    struct soql_item **end = &query->items;

    do {
        *end = parse_item(parser);
        end = &(*end)->next;
    } while (soql_parser_accept_sign(parser, ",") && !parser->has_failed);
}

/* ---- the other clauses ---- */

static void parse_groups(struct soql_parser *parser, struct soql_query *query)
{
    struct soql_group **end = &query->groups;

    if (soql_parser_is_word(parser, "ROLLUP"))
        query->grouping = SOQL_ROLLUP;
    else if (soql_parser_is_word(parser, "CUBE"))
        query->grouping = SOQL_CUBE;
    if (query->grouping != SOQL_PLAIN) {
        soql_parser_advance(parser);
        soql_parser_expect_sign(parser, "(");
    }
    do {
        *end = arena_alloc(parser->lexer.arena, sizeof(**end));
        (*end)->path = soql_parser_path(parser);
        if (soql_parser_accept_sign(parser, "("))
            (*end)->function = soql_parser_call(parser, &(*end)->path);
        end = &(*end)->next;
    } while (soql_parser_accept_sign(parser, ",") && !parser->has_failed);
    if (query->grouping != SOQL_PLAIN)
        soql_parser_expect_sign(parser, ")");
}

static struct soql_order *parse_order(struct soql_parser *parser)
{
    struct soql_order *order = arena_alloc(parser->lexer.arena, sizeof(*order));

    order->path = soql_parser_path(parser);
    if (soql_parser_accept_sign(parser, "("))
        order->function = soql_parser_call(parser, &order->path);
    order->is_descending = soql_parser_accept_word(parser, "DESC");
    if (!order->is_descending)
        soql_parser_accept_word(parser, "ASC");
    if (soql_parser_accept_word(parser, "NULLS")) {
        order->has_nulls_last = soql_parser_accept_word(parser, "LAST");
        if (!order->has_nulls_last)
            soql_parser_expect_word(parser, "FIRST");
    }
    return order;
}

static void parse_orders(struct soql_parser *parser, struct soql_query *query)
{
    struct soql_order **end = &query->orders;

    do {
        *end = parse_order(parser);
        end = &(*end)->next;
    } while (soql_parser_accept_sign(parser, ",") && !parser->has_failed);
}

static int64_t parse_count(struct soql_parser *parser)
{
    const char *text = parser->token.text;

    if (parser->token.kind != TOKEN_NUMBER || strspn(text, "0123456789") != strlen(text) ||
        strlen(text) > 12) {
        soql_parser_fail(parser);
        return 0;
    }
    int64_t count = strtoll(text, NULL, 10);
    soql_parser_advance(parser);
    return count;
}

/* WITH SECURITY_ENFORCED and the access modes change nothing: the one user may do everything. */
static void parse_with(struct soql_parser *parser)
{
    if (!soql_parser_accept_word(parser, "SECURITY_ENFORCED") &&
        !soql_parser_accept_word(parser, "USER_MODE"))
        soql_parser_expect_word(parser, "SYSTEM_MODE");
}

/* FOR VIEW, FOR REFERENCE, FOR UPDATE: noted by a real organisation, accepted by this one. */
static void parse_for(struct soql_parser *parser)
{
    do
        if (!soql_parser_accept_word(parser, "VIEW") &&
            !soql_parser_accept_word(parser, "REFERENCE"))
            soql_parser_expect_word(parser, "UPDATE");
    while (soql_parser_accept_word(parser, "FOR"));
}

static void parse_tail(struct soql_parser *parser, struct soql_query *query)
{
    if (soql_parser_accept_word(parser, "USING") && soql_parser_expect_word(parser, "SCOPE"))
        soql_parser_expect_name(parser);
    if (soql_parser_accept_word(parser, "WHERE"))
        query->where = soql_parse_where(parser);
    if (soql_parser_accept_word(parser, "WITH"))
        parse_with(parser);
    if (soql_parser_accept_word(parser, "GROUP") && soql_parser_expect_word(parser, "BY")) {
        parse_groups(parser, query);
        if (soql_parser_accept_word(parser, "HAVING"))
            query->having = soql_parse_where(parser);
    }
    if (soql_parser_accept_word(parser, "ORDER") && soql_parser_expect_word(parser, "BY"))
        parse_orders(parser, query);
    if (soql_parser_accept_word(parser, "LIMIT"))
        query->limit = parse_count(parser);
    if (soql_parser_accept_word(parser, "OFFSET"))
        query->offset = parse_count(parser);
    if (soql_parser_accept_word(parser, "ALL") && soql_parser_expect_word(parser, "ROWS"))
        query->is_all_rows = true;
    if (soql_parser_accept_word(parser, "FOR"))
        parse_for(parser);
}

struct soql_query *soql_parse_nested(struct soql_parser *parser)
{
    struct soql_query *query = arena_alloc(parser->lexer.arena, sizeof(*query));

    query->text = parser->lexer.text;
    query->limit = -1;
    if (parser->depth >= SOQL_MAX_DEPTH) {
        soql_parser_fail(parser);
        return query;
    }
    parser->depth++;
    soql_parser_expect_word(parser, "SELECT");
    parse_items(parser, query);
    soql_parser_expect_word(parser, "FROM");
    query->from_position = parser->token.position;
    query->from = soql_parser_expect_name(parser);
    query->from_alias = parse_alias(parser);
    parse_tail(parser, query);
    parser->depth--;
    return query;
}

struct soql_query *soql_parse(const char *text, struct record_errors *errors)
{
    struct soql_parser parser = {
        .lexer = {.arena = errors->arena, .text = text},
        .errors = errors,
    };

    if (text[strspn(text, " \t\r\n")] == '\0') {
        errors_add(errors, "MALFORMED_QUERY", "", "SOQL statements cannot be empty or null");
        return NULL;
    }
    if (strlen(text) > SOQL_MAX_CHARACTERS) {
        errors_add(errors, "MALFORMED_QUERY", "",
                   "SOQL statements cannot be longer than %d characters.", SOQL_MAX_CHARACTERS);
        return NULL;
    }
    soql_parser_advance(&parser);
    struct soql_query *query = soql_parse_nested(&parser);
    if (!parser.has_failed && parser.token.kind != TOKEN_END)
        soql_parser_fail(&parser);
    return parser.has_failed ? NULL : query;
}
