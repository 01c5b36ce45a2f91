#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/soql.h"
#include "sandbox/soql_lexer.h"

enum { MAX_LITERALS = 50000, CONTEXT_BYTES = 60 };

/* Recursive descent with one token of look-ahead. Once failed, every step answers at once. */
struct parser {
    struct soql_lexer lexer;
    struct record_errors *errors;
    struct token token;
    int depth;
    bool has_failed;
};

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

static void advance(struct parser *parser)
{
    parser->token = soql_lexer_next(&parser->lexer);
}

static bool fail(struct parser *parser)
{
    const struct token *token = &parser->token;
    const char *message =
        token->kind == TOKEN_END
            ? "unexpected token: '<EOF>'"
            : arena_printf(parser->lexer.arena, "unexpected token: '%.100s'", token->text);

    if (!parser->has_failed)
        soql_parse_refuse(parser->errors, "MALFORMED_QUERY", parser->lexer.text, token->position,
                          message);
    parser->has_failed = true;
    parser->token.kind = TOKEN_END;
    return false;
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_NAME && strcasecmp(parser->token.text, word) == 0;
}

static bool is_sign(const struct parser *parser, const char *sign)
{
    return parser->token.kind == TOKEN_SIGN && strcmp(parser->token.text, sign) == 0;
}

static bool accept_word(struct parser *parser, const char *word)
{
    if (!is_word(parser, word))
        return false;
    advance(parser);
    return true;
}

static bool accept_sign(struct parser *parser, const char *sign)
{
    if (!is_sign(parser, sign))
        return false;
    advance(parser);
    return true;
}

static bool expect_word(struct parser *parser, const char *word)
{
    return accept_word(parser, word) || fail(parser);
}

static bool expect_sign(struct parser *parser, const char *sign)
{
    return accept_sign(parser, sign) || fail(parser);
}

static const char *expect_name(struct parser *parser)
{
    const char *name = parser->token.text;

    if (parser->token.kind != TOKEN_NAME) {
        fail(parser);
        return "";
    }
    advance(parser);
    return name;
}

static struct soql_path parse_path(struct parser *parser)
{
    struct soql_path path = {.position = parser->token.position};

    do {
        if (path.count == SOQL_MAX_PATH) {
            fail(parser);
            break;
        }
        path.names[path.count++] = expect_name(parser);
    } while (accept_sign(parser, "."));
    return path;
}

static bool is_clause(const struct parser *parser)
{
    static const char *const words[] = {"FROM", "WHERE", "GROUP",  "ORDER", "LIMIT", "OFFSET",
                                        "ALL",  "USING", "HAVING", "WITH",  "FOR",   "UPDATE",
                                        "AND",  "OR",    "ASC",    "DESC",  "NULLS", NULL};

    for (size_t i = 0; words[i] != NULL; i++)
        if (is_word(parser, words[i]))
            return true;
    return false;
}

static const char *parse_alias(struct parser *parser)
{
    accept_word(parser, "AS");
    if (parser->token.kind != TOKEN_NAME || is_clause(parser))
        return NULL;
    return expect_name(parser);
}

static struct soql_query *parse_query(struct parser *parser);

/* After a name and "(" . */
static void parse_function(struct parser *parser, struct soql_item *item)
{
    const char *function = item->path.names[0];

    item->function = function;
    if (item->path.count != 1) {
        fail(parser);
        return;
    }
    if (strcasecmp(function, "COUNT") == 0 && accept_sign(parser, ")")) {
        item->kind = SOQL_COUNT;
        return;
    }
    item->kind = strcasecmp(function, "FIELDS") == 0 ? SOQL_FIELDS : SOQL_AGGREGATE;
    item->path = parse_path(parser);
    expect_sign(parser, ")");
    if (item->kind == SOQL_AGGREGATE)
        item->alias = parse_alias(parser);
}

static struct soql_item *parse_item(struct parser *parser)
{
    struct soql_item *item = arena_alloc(parser->lexer.arena, sizeof(*item));

    if (accept_sign(parser, "(")) {
        item->kind = SOQL_CHILDREN;
        item->children = parse_query(parser);
        expect_sign(parser, ")");
        return item;
    }
    item->kind = SOQL_FIELD;
    item->path = parse_path(parser);
    if (accept_sign(parser, "("))
        parse_function(parser, item);
    else
        item->alias = parse_alias(parser);
    return item;
}

static void parse_items(struct parser *parser, struct soql_query *query)
{
    struct soql_item **end = &query->items;

    do {
        *end = parse_item(parser);
        end = &(*end)->next;
    } while (accept_sign(parser, ",") && !parser->has_failed);
}

/* ---- where ---- */

static struct soql_literal *parse_word_literal(struct parser *parser, struct soql_literal *literal)
{
    if (is_word(parser, "true") || is_word(parser, "false")) {
        literal->kind = SOQL_BOOLEAN;
        literal->boolean = is_word(parser, "true");
        advance(parser);
        return literal;
    }
    if (accept_word(parser, "null")) {
        literal->kind = SOQL_NULL;
        return literal;
    }
    literal->kind = SOQL_RANGE;
    literal->text = expect_name(parser);
    if (accept_sign(parser, ":")) {
        if (parser->token.kind != TOKEN_NUMBER)
            fail(parser);
        literal->number = strtod(parser->token.text, NULL);
        advance(parser);
    }
    return literal;
}

static struct soql_literal *parse_literal(struct parser *parser)
{
    struct soql_literal *literal = arena_alloc(parser->lexer.arena, sizeof(*literal));

    literal->position = parser->token.position;
    literal->text = parser->token.text;
    switch (parser->token.kind) {
    case TOKEN_NAME: return parse_word_literal(parser, literal);
    case TOKEN_STRING: literal->kind = SOQL_STRING; break;
    case TOKEN_DATE: literal->kind = SOQL_DATE; break;
    case TOKEN_DATETIME: literal->kind = SOQL_DATETIME; break;
    case TOKEN_NUMBER:
        literal->kind = SOQL_NUMBER;
        literal->number = strtod(literal->text, NULL);
        break;
    default: fail(parser); return literal;
    }
    advance(parser);
    return literal;
}

static void parse_list(struct parser *parser, struct soql_node *node)
{
    struct soql_literal **end = &node->literals;
    size_t count = 0;

    expect_sign(parser, "(");
    if (is_word(parser, "SELECT")) {
        node->semi_join = parse_query(parser);
        expect_sign(parser, ")");
        return;
    }
    do {
        if (++count > MAX_LITERALS) {
            fail(parser);
            return;
        }
        *end = parse_literal(parser);
        end = &(*end)->next;
    } while (accept_sign(parser, ",") && !parser->has_failed);
    expect_sign(parser, ")");
}

static bool parse_operator(struct parser *parser, enum soql_operator *operator)
{
    static const struct {
        const char *text;
        enum soql_operator operator;
    } operators[] = {
        {"=", SOQL_EQUAL},
        {"!=", SOQL_NOT_EQUAL},
        {"<>", SOQL_NOT_EQUAL},
        {"<", SOQL_LESS},
        {"<=", SOQL_LESS_OR_EQUAL},
        {">", SOQL_GREATER},
        {">=", SOQL_GREATER_OR_EQUAL},
        {"LIKE", SOQL_LIKE},
        {"IN", SOQL_IN},
        {"INCLUDES", SOQL_INCLUDES},
        {"EXCLUDES", SOQL_EXCLUDES},
    };

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (accept_sign(parser, operators[i].text) || accept_word(parser, operators[i].text)) {
            *operator= operators[i].operator;
            return true;
        }
    if (accept_word(parser, "NOT") && expect_word(parser, "IN")) {
        *operator= SOQL_NOT_IN;
        return true;
    }
    return fail(parser);
}

static struct soql_node *parse_comparison(struct parser *parser)
{
    struct soql_node *node = arena_alloc(parser->lexer.arena, sizeof(*node));

    node->kind = SOQL_COMPARE;
    node->path = parse_path(parser);
    if (!parse_operator(parser, &node->operator))
        return node;
    if (node->operator>= SOQL_IN)
        parse_list(parser, node);
    else
        node->literals = parse_literal(parser);
    return node;
}

static struct soql_node *parse_condition(struct parser *parser);

static struct soql_node *parse_operand(struct parser *parser)
{
    struct soql_node *node;

    if (parser->depth >= SOQL_MAX_DEPTH) {
        fail(parser);
        return arena_alloc(parser->lexer.arena, sizeof(*node));
    }
    parser->depth++;
    if (accept_word(parser, "NOT")) {
        node = arena_alloc(parser->lexer.arena, sizeof(*node));
        node->kind = SOQL_NOT;
        node->first = parse_operand(parser);
    } else if (accept_sign(parser, "(")) {
        node = parse_condition(parser);
        expect_sign(parser, ")");
    } else {
        node = parse_comparison(parser);
    }
    parser->depth--;
    return node;
}

/* AND and OR must not be mixed without parentheses. */
static struct soql_node *parse_condition(struct parser *parser)
{
    struct soql_node *first = parse_operand(parser);
    const char *word = is_word(parser, "AND") ? "AND" : "OR";

    if (!is_word(parser, word))
        return first;
    struct soql_node *node = arena_alloc(parser->lexer.arena, sizeof(*node));
    node->kind = strcmp(word, "AND") == 0 ? SOQL_AND : SOQL_OR;
    node->first = first;
    for (struct soql_node *last = first; accept_word(parser, word); last = last->next)
        last->next = parse_operand(parser);
    return node;
}

/* ---- the other clauses ---- */

static void parse_groups(struct parser *parser, struct soql_query *query)
{
    struct soql_group **end = &query->groups;

    do {
        *end = arena_alloc(parser->lexer.arena, sizeof(**end));
        (*end)->path = parse_path(parser);
        end = &(*end)->next;
    } while (accept_sign(parser, ",") && !parser->has_failed);
}

static struct soql_order *parse_order(struct parser *parser)
{
    struct soql_order *order = arena_alloc(parser->lexer.arena, sizeof(*order));

    order->path = parse_path(parser);
    if (accept_sign(parser, "(")) {
        order->function = order->path.names[0];
        order->path = parse_path(parser);
        expect_sign(parser, ")");
    }
    order->is_descending = accept_word(parser, "DESC");
    if (!order->is_descending)
        accept_word(parser, "ASC");
    if (accept_word(parser, "NULLS")) {
        order->has_nulls_last = accept_word(parser, "LAST");
        if (!order->has_nulls_last)
            expect_word(parser, "FIRST");
    }
    return order;
}

static void parse_orders(struct parser *parser, struct soql_query *query)
{
    struct soql_order **end = &query->orders;

    do {
        *end = parse_order(parser);
        end = &(*end)->next;
    } while (accept_sign(parser, ",") && !parser->has_failed);
}

static int64_t parse_count(struct parser *parser)
{
    const char *text = parser->token.text;

    if (parser->token.kind != TOKEN_NUMBER || strspn(text, "0123456789") != strlen(text) ||
        strlen(text) > 12) {
        fail(parser);
        return 0;
    }
    int64_t count = strtoll(text, NULL, 10);
    advance(parser);
    return count;
}

static void parse_tail(struct parser *parser, struct soql_query *query)
{
    if (accept_word(parser, "WHERE"))
        query->where = parse_condition(parser);
    if (accept_word(parser, "GROUP") && expect_word(parser, "BY"))
        parse_groups(parser, query);
    if (accept_word(parser, "ORDER") && expect_word(parser, "BY"))
        parse_orders(parser, query);
    if (accept_word(parser, "LIMIT"))
        query->limit = parse_count(parser);
    if (accept_word(parser, "OFFSET"))
        query->offset = parse_count(parser);
    if (accept_word(parser, "ALL") && expect_word(parser, "ROWS"))
        query->is_all_rows = true;
    if (accept_word(parser, "FOR") && !accept_word(parser, "VIEW"))
        expect_word(parser, "REFERENCE");
}

static struct soql_query *parse_query(struct parser *parser)
{
    struct soql_query *query = arena_alloc(parser->lexer.arena, sizeof(*query));

    query->text = parser->lexer.text;
    query->limit = -1;
    if (parser->depth >= SOQL_MAX_DEPTH) {
        fail(parser);
        return query;
    }
    parser->depth++;
    expect_word(parser, "SELECT");
    parse_items(parser, query);
    expect_word(parser, "FROM");
    query->from_position = parser->token.position;
    query->from = expect_name(parser);
    query->from_alias = parse_alias(parser);
    parse_tail(parser, query);
    parser->depth--;
    return query;
}

struct soql_query *soql_parse(const char *text, struct record_errors *errors)
{
    struct parser parser = {
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
    advance(&parser);
    struct soql_query *query = parse_query(&parser);
    if (!parser.has_failed && parser.token.kind != TOKEN_END)
        fail(&parser);
    return parser.has_failed ? NULL : query;
}
