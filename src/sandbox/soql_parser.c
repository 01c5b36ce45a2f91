#include "sandbox/soql_parser.h"

#include <string.h>
#include <strings.h>

void soql_parser_advance(struct soql_parser *parser)
{
    parser->token = soql_lexer_next(&parser->lexer);
}

bool soql_parser_fail(struct soql_parser *parser)
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

bool soql_parser_is_word(const struct soql_parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_NAME && strcasecmp(parser->token.text, word) == 0;
}

bool soql_parser_is_sign(const struct soql_parser *parser, const char *sign)
{
    return parser->token.kind == TOKEN_SIGN && strcmp(parser->token.text, sign) == 0;
}

bool soql_parser_accept_word(struct soql_parser *parser, const char *word)
{
    if (!soql_parser_is_word(parser, word))
        return false;
    soql_parser_advance(parser);
    return true;
}

bool soql_parser_accept_sign(struct soql_parser *parser, const char *sign)
{
    if (!soql_parser_is_sign(parser, sign))
        return false;
    soql_parser_advance(parser);
    return true;
}

bool soql_parser_expect_word(struct soql_parser *parser, const char *word)
{
    return soql_parser_accept_word(parser, word) || soql_parser_fail(parser);
}

bool soql_parser_expect_sign(struct soql_parser *parser, const char *sign)
{
    return soql_parser_accept_sign(parser, sign) || soql_parser_fail(parser);
}

const char *soql_parser_expect_name(struct soql_parser *parser)
{
    const char *name = parser->token.text;

    if (parser->token.kind != TOKEN_NAME) {
        soql_parser_fail(parser);
        return "";
    }
    soql_parser_advance(parser);
    return name;
}

struct soql_path soql_parser_path(struct soql_parser *parser)
{
    struct soql_path path = {.position = parser->token.position};

    do {
        if (path.count == SOQL_MAX_PATH) {
            soql_parser_fail(parser);
            break;
        }
        path.names[path.count++] = soql_parser_expect_name(parser);
    } while (soql_parser_accept_sign(parser, "."));
    return path;
}

bool soql_parser_is_clause(const struct soql_parser *parser)
{
    static const char *const words[] = {"FROM", "WHERE", "GROUP",  "ORDER", "LIMIT", "OFFSET",
                                        "ALL",  "USING", "HAVING", "WITH",  "FOR",   "UPDATE",
                                        "AND",  "OR",    "ASC",    "DESC",  "NULLS", NULL};

    for (size_t i = 0; words[i] != NULL; i++)
        if (soql_parser_is_word(parser, words[i]))
            return true;
    return false;
}

static bool is_transparent(const char *function)
{
    return strcasecmp(function, "FORMAT") == 0 || strcasecmp(function, "toLabel") == 0 ||
           strcasecmp(function, "convertCurrency") == 0 ||
           strcasecmp(function, "convertTimezone") == 0;
}

const char *soql_parser_call(struct soql_parser *parser, struct soql_path *path)
{
    const char *function = path->names[0];
    const char *own = function;

    if (strcasecmp(function, "DISTANCE") == 0 && !parser->has_failed) {
        parser->has_failed = true;
        soql_parse_refuse(parser->errors, "MALFORMED_QUERY", parser->lexer.text, path->position,
                          "DISTANCE is not supported: this organisation has no geolocation fields");
    }
    if (path->count != 1)
        soql_parser_fail(parser);
    if (parser->has_failed)
        return function;
    *path = soql_parser_path(parser);
    if (parser->depth < SOQL_MAX_DEPTH && soql_parser_accept_sign(parser, "(")) {
        parser->depth++;
        const char *inner = soql_parser_call(parser, path);
        parser->depth--;
        if (is_transparent(function))
            function = inner;
        else if (!is_transparent(inner))
            soql_parser_fail(parser);
    }
    path->is_formatted = path->is_formatted || strcasecmp(own, "FORMAT") == 0;
    path->is_converted = path->is_converted || strcasecmp(own, "convertCurrency") == 0;
    soql_parser_expect_sign(parser, ")");
    return function;
}
