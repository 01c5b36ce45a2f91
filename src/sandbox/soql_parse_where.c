#include "sandbox/soql_parse_where.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_LITERALS = 50000 };

static struct soql_literal *parse_word_literal(struct soql_parser *parser,
                                               struct soql_literal *literal)
{
    if (soql_parser_is_word(parser, "true") || soql_parser_is_word(parser, "false")) {
        literal->kind = SOQL_BOOLEAN;
        literal->boolean = soql_parser_is_word(parser, "true");
        soql_parser_advance(parser);
        return literal;
    }
    if (soql_parser_accept_word(parser, "null")) {
        literal->kind = SOQL_NULL;
        return literal;
    }
    literal->kind = SOQL_RANGE;
    literal->text = soql_parser_expect_name(parser);
    if (soql_parser_accept_sign(parser, ":")) {
        if (parser->token.kind != TOKEN_NUMBER)
            soql_parser_fail(parser);
        literal->number = strtod(parser->token.text, NULL);
        soql_parser_advance(parser);
    }
    return literal;
}

static struct soql_literal *parse_literal(struct soql_parser *parser)
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
    default: soql_parser_fail(parser); return literal;
    }
    soql_parser_advance(parser);
    return literal;
}

static void parse_list(struct soql_parser *parser, struct soql_node *node)
{
    struct soql_literal **end = &node->literals;
    size_t count = 0;

    soql_parser_expect_sign(parser, "(");
    if (soql_parser_is_word(parser, "SELECT")) {
        node->semi_join = soql_parse_nested(parser);
        soql_parser_expect_sign(parser, ")");
        return;
    }
    do {
        if (++count > MAX_LITERALS) {
            soql_parser_fail(parser);
            return;
        }
        *end = parse_literal(parser);
        end = &(*end)->next;
    } while (soql_parser_accept_sign(parser, ",") && !parser->has_failed);
    soql_parser_expect_sign(parser, ")");
}

static bool parse_operator(struct soql_parser *parser, enum soql_operator *operator)
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
        if (soql_parser_accept_sign(parser, operators[i].text) ||
            soql_parser_accept_word(parser, operators[i].text)) {
            *operator= operators[i].operator;
            return true;
        }
    if (soql_parser_accept_word(parser, "NOT") && soql_parser_expect_word(parser, "IN")) {
        *operator= SOQL_NOT_IN;
        return true;
    }
    return soql_parser_fail(parser);
}

static struct soql_node *parse_comparison(struct soql_parser *parser)
{
    struct soql_node *node = arena_alloc(parser->lexer.arena, sizeof(*node));

    node->kind = SOQL_COMPARE;
    node->path = soql_parser_path(parser);
    if (soql_parser_accept_sign(parser, "("))
        node->function = soql_parser_call(parser, &node->path);
    if (!parse_operator(parser, &node->operator))
        return node;
    if (node->operator>= SOQL_IN)
        parse_list(parser, node);
    else
        node->literals = parse_literal(parser);
    return node;
}

static struct soql_node *parse_operand(struct soql_parser *parser)
{
    struct soql_node *node;

    if (parser->depth >= SOQL_MAX_DEPTH) {
        soql_parser_fail(parser);
        return arena_alloc(parser->lexer.arena, sizeof(*node));
    }
    parser->depth++;
    if (soql_parser_accept_word(parser, "NOT")) {
        node = arena_alloc(parser->lexer.arena, sizeof(*node));
        node->kind = SOQL_NOT;
        node->first = parse_operand(parser);
    } else if (soql_parser_accept_sign(parser, "(")) {
        node = soql_parse_where(parser);
        soql_parser_expect_sign(parser, ")");
    } else {
        node = parse_comparison(parser);
    }
    parser->depth--;
    return node;
}

/* AND and OR must not be mixed without parentheses. */
struct soql_node *soql_parse_where(struct soql_parser *parser)
{
    struct soql_node *first = parse_operand(parser);
    const char *word = soql_parser_is_word(parser, "AND") ? "AND" : "OR";

    if (!soql_parser_is_word(parser, word))
        return first;
    struct soql_node *node = arena_alloc(parser->lexer.arena, sizeof(*node));
    node->kind = strcmp(word, "AND") == 0 ? SOQL_AND : SOQL_OR;
    node->first = first;
    for (struct soql_node *last = first; soql_parser_accept_word(parser, word); last = last->next)
        last->next = parse_operand(parser);
    return node;
}
