/*
 * SOQL's words: names, literals and signs, each with its place in the statement.
 */
#ifndef PGFORCE_SANDBOX_SOQL_LEXER_H
#define PGFORCE_SANDBOX_SOQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_STRING, /* text is what it stands for */
    TOKEN_NUMBER,
    TOKEN_DATE,
    TOKEN_DATETIME,
    TOKEN_SIGN,
    TOKEN_BAD, /* an unfinished string or a stray character */
};

struct token {
    enum token_kind kind;
    const char *text; /* "" at the end */
    size_t position;
};

struct soql_lexer {
    struct arena *arena;
    const char *text;
    size_t position;
};

struct token soql_lexer_next(struct soql_lexer *lexer);

#endif
