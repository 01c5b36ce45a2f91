#include "sandbox/soql_lexer.h"

#include <ctype.h>
#include <string.h>

static bool is_name_start(char character)
{
    return isalpha((unsigned char)character) || character == '_';
}

static bool is_name_part(char character)
{
    return isalnum((unsigned char)character) || character == '_';
}

static struct token take(struct soql_lexer *lexer, enum token_kind kind, size_t length)
{
    struct token token = {
        .kind = kind,
        .text = arena_strndup(lexer->arena, lexer->text + lexer->position, length),
        .position = lexer->position,
    };

    lexer->position += length;
    return token;
}

/* What \x stands for; 0 for an escape that does not exist. \% and \_ are LIKE's and
 * keep their backslash; a backslash itself stays doubled beside them (see soql_plan.c). */
static char unescape(char character)
{
    static const char from[] = "nrtbf\"'\\NRTBF";
    static const char to[] = "\n\r\t\b\f\"'\\\n\r\t\b\f";
    const char *found = character != '\0' ? strchr(from, character) : NULL;

    return found != NULL ? to[found - from] : '\0';
}

static struct token take_string(struct soql_lexer *lexer)
{
    const char *text = lexer->text + lexer->position + 1;
    char *out = arena_alloc(lexer->arena, strlen(text) + 1);
    size_t used = 0;
    size_t i = 0;

    for (; text[i] != '\0' && text[i] != '\''; i++) {
        if (text[i] != '\\') {
            out[used++] = text[i];
            continue;
        }
        char plain = unescape(text[++i]);
        bool is_wildcard = text[i] == '%' || text[i] == '_';
        if (plain == '\0' && !is_wildcard)
            return take(lexer, TOKEN_BAD, i);
        if (is_wildcard || plain == '\\')
            out[used++] = '\\';
        out[used++] = is_wildcard ? text[i] : plain;
    }
    if (text[i] != '\'')
        return take(lexer, TOKEN_BAD, i + 1);
    struct token token = {.kind = TOKEN_STRING, .text = out, .position = lexer->position};
    lexer->position += i + 2;
    return token;
}

/* Digits that continue like 2026-01-31 are a date, with a T a datetime; like 18:30, a time. */
static struct token take_number(struct soql_lexer *lexer)
{
    const char *text = lexer->text + lexer->position;
    size_t length = strspn(text, "0123456789");

    if (length == 4 && text[4] == '-') {
        length = strspn(text, "0123456789-");
        if (text[length] != 'T' && text[length] != 't')
            return take(lexer, TOKEN_DATE, length);
        return take(lexer, TOKEN_DATETIME, strspn(text, "0123456789-Tt:.+Zz"));
    }
    if (length == 2 && text[2] == ':')
        return take(lexer, TOKEN_DATETIME, strspn(text, "0123456789:.+-Zz"));
    length = strspn(text, "+-");
    length += strspn(text + length, "0123456789.");
    if (text[length] == 'e' || text[length] == 'E') {
        length++;
        length += strspn(text + length, "+-");
        length += strspn(text + length, "0123456789");
    }
    return take(lexer, TOKEN_NUMBER, length);
}

static struct token take_sign(struct soql_lexer *lexer)
{
    static const char *const signs[] = {"!=", "<>", "<=", ">=", "=", "<", ">",
                                        "(",  ")",  ",",  ".",  ":", NULL};
    const char *text = lexer->text + lexer->position;

    for (size_t i = 0; signs[i] != NULL; i++)
        if (strncmp(text, signs[i], strlen(signs[i])) == 0)
            return take(lexer, TOKEN_SIGN, strlen(signs[i]));
    return take(lexer, TOKEN_BAD, 1);
}

struct token soql_lexer_next(struct soql_lexer *lexer)
{
    lexer->position += strspn(lexer->text + lexer->position, " \t\r\n");
    const char *text = lexer->text + lexer->position;

    if (*text == '\0')
        return take(lexer, TOKEN_END, 0);
    if (is_name_start(*text)) {
        size_t length = 1;

        while (is_name_part(text[length]))
            length++;
        return take(lexer, TOKEN_NAME, length);
    }
    if (*text == '\'')
        return take_string(lexer);
    if (isdigit((unsigned char)*text) ||
        (strchr("+-.", *text) != NULL && isdigit((unsigned char)text[1])))
        return take_number(lexer);
    return take_sign(lexer);
}
