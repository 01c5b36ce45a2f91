/*
 * Recursive descent's tools: one token of look-ahead, and the small questions asked of it.
 *
 * Once failed, every step answers at once, so callers need not look after each. For soql_parse.c
 * and soql_parse_where.c alone.
 */
#ifndef PGFORCE_SANDBOX_SOQL_PARSER_H
#define PGFORCE_SANDBOX_SOQL_PARSER_H

#include "sandbox/soql.h"
#include "sandbox/soql_lexer.h"

struct soql_parser {
    struct soql_lexer lexer;
    struct record_errors *errors;
    struct token token;
    int depth;
    bool has_failed;
};

void soql_parser_advance(struct soql_parser *parser);

/* Refuses the present token, unless something was refused before; always answers false. */
bool soql_parser_fail(struct soql_parser *parser);

bool soql_parser_is_word(const struct soql_parser *parser, const char *word);
bool soql_parser_is_sign(const struct soql_parser *parser, const char *sign);
bool soql_parser_accept_word(struct soql_parser *parser, const char *word);
bool soql_parser_accept_sign(struct soql_parser *parser, const char *sign);
bool soql_parser_expect_word(struct soql_parser *parser, const char *word);
bool soql_parser_expect_sign(struct soql_parser *parser, const char *sign);
const char *soql_parser_expect_name(struct soql_parser *parser);

struct soql_path soql_parser_path(struct soql_parser *parser);

/* After "name(": answers the function, its argument is in path. FORMAT and its like give way to the
 * function inside them. */
const char *soql_parser_call(struct soql_parser *parser, struct soql_path *path);

/* The present token begins the next clause, so it is no alias. */
bool soql_parser_is_clause(const struct soql_parser *parser);

#endif
