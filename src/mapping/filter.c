#include "mapping/filter.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "sf/soql.h"

enum {
    FILTER_BYTES_MAX = 4000, /* SOQL's own limit for a WHERE clause is above */
    DEPTH_MAX = 20,
    WORD_BYTES = 256,
    SHOWN_BYTES = 20,
};

enum kind {
    NAME,     /* also AND, LIKE, TRUE, LAST_N_DAYS:3 and the like */
    LITERAL,  /* a text, a number, a date */
    COMPARES, /* = != <> < <= > >= */
    OPENS,
    CLOSES,
    COMMA,
    END,
    WRONG,
};

struct token {
    enum kind kind;
    const char *at;
    char word[WORD_BYTES]; /* of NAME, cut */
};

struct parser {
    const char *text;
    const char *at;
    struct token token;
    struct error *err;
    const char *joins[DEPTH_MAX + 1]; /* "and" or "or", by depth: they may not be mixed */
    int depth;
};

/* Of the text at a place, as much as is shown: whole characters. */
static int shown_bytes(const char *at)
{
    size_t size = strnlen(at, SHOWN_BYTES);

    while (size > 0 && ((unsigned char)at[size] & 0xc0) == 0x80)
        size--;
    return (int)size;
}

static bool refuse(const struct parser *parser, const char *what)
{
    return error_set(parser->err, ERROR_CONFIG,
                     "at character %d (\"%.*s\"): %s; one condition is wanted, such as"
                     " \"Status__c = 'Open' AND Amount__c > 5\"",
                     (int)(parser->token.at - parser->text) + 1, shown_bytes(parser->token.at),
                     parser->token.at, what);
}

/* The end of a quoted text; NULL when it has none. */
static const char *skip_quoted(const char *at)
{
    for (at++; *at != '\0' && *at != '\''; at++)
        if (*at == '\\' && *++at == '\0')
            return NULL;
    return *at == '\'' ? at + 1 : NULL;
}

static const char *skip_word(const char *at, const char *more)
{
    while (isalnum((unsigned char)*at) || *at == '_' || (*at != '\0' && strchr(more, *at) != NULL))
        at++;
    return at;
}

static enum kind read_word(struct parser *parser)
{
    const char *end = skip_word(parser->at, ".:");
    size_t size = (size_t)(end - parser->at);

    if (size >= WORD_BYTES)
        return WRONG;
    memcpy(parser->token.word, parser->at, size);
    parser->token.word[size] = '\0';
    parser->at = end;
    return NAME;
}

static enum kind read_compares(struct parser *parser)
{
    static const char *const operators[] = {"!=", "<>", "<=", ">=", "=", "<", ">"};

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t size = strlen(operators[i]);
        if (strncmp(parser->at, operators[i], size) != 0)
            continue;
        parser->at += size;
        return COMPARES;
    }
    return WRONG;
}

static enum kind read_kind(struct parser *parser)
{
    char first = *parser->at;

    if (isalpha((unsigned char)first))
        return read_word(parser);
    if (first == '\'') {
        const char *end = skip_quoted(parser->at);
        parser->at = end != NULL ? end : parser->at;
        return end != NULL ? LITERAL : WRONG;
    }
    if (isdigit((unsigned char)first) || first == '-' || first == '+') {
        parser->at = skip_word(parser->at + 1, ".:+-");
        return LITERAL;
    }
    if (first == '(' || first == ')' || first == ',') {
        parser->at++;
        return first == '(' ? OPENS : first == ')' ? CLOSES : COMMA;
    }
    return first == '\0' ? END : read_compares(parser);
}

static void next(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t\r\n");
    parser->token.at = parser->at;
    parser->token.word[0] = '\0';
    parser->token.kind = read_kind(parser);
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == NAME && strcasecmp(parser->token.word, word) == 0;
}

static bool is_reserved(const struct parser *parser)
{
    static const char *const words[] = {"and",   "or",    "not",   "in",     "like",   "includes",
                                        "null",  "true",  "false", "select", "from",   "where",
                                        "limit", "order", "group", "having", "offset", "excludes"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(parser, words[i]))
            return true;
    return false;
}

/* A text, number, date, null, true, false, or a date literal such as TODAY. */
static bool read_value(struct parser *parser)
{
    bool is_constant =
        is_word(parser, "null") || is_word(parser, "true") || is_word(parser, "false");

    if (parser->token.kind != LITERAL &&
        (parser->token.kind != NAME || (is_reserved(parser) && !is_constant) ||
         strchr(parser->token.word, '.') != NULL))
        return refuse(parser, "a value is missing");
    next(parser);
    return true;
}

static bool read_list(struct parser *parser)
{
    if (parser->token.kind != OPENS)
        return refuse(parser, "a list in brackets is missing");
    do {
        next(parser);
        if (!read_value(parser))
            return false;
    } while (parser->token.kind == COMMA);
    if (parser->token.kind != CLOSES)
        return refuse(parser, "the list is not closed");
    next(parser);
    return true;
}

static bool read_comparison(struct parser *parser)
{
    if (parser->token.kind != NAME || is_reserved(parser) || !soql_is_name(parser->token.word))
        return refuse(parser, "a field is missing");
    next(parser);
    if (parser->token.kind == COMPARES || is_word(parser, "like")) {
        next(parser);
        return read_value(parser);
    }
    if (is_word(parser, "not"))
        next(parser);
    if (!is_word(parser, "in") && !is_word(parser, "includes") && !is_word(parser, "excludes"))
        return refuse(parser, "a comparison is missing");
    next(parser);
    return read_list(parser);
}

/* NOT and opening brackets, then one comparison, then closing brackets. */
static bool read_term(struct parser *parser)
{
    while (is_word(parser, "not") || parser->token.kind == OPENS) {
        if (parser->token.kind == OPENS) {
            if (parser->depth == DEPTH_MAX)
                return refuse(parser, "the brackets are nested too deep");
            parser->joins[++parser->depth] = NULL;
        }
        next(parser);
    }
    if (!read_comparison(parser))
        return false;
    while (parser->token.kind == CLOSES) {
        if (parser->depth == 0)
            return refuse(parser, "a bracket is closed that was not opened");
        parser->depth--;
        next(parser);
    }
    return true;
}

static bool read_join(struct parser *parser)
{
    const char *join = is_word(parser, "and") ? "and" : is_word(parser, "or") ? "or" : NULL;
    const char **before = &parser->joins[parser->depth];

    if (join == NULL)
        return refuse(parser, "this is no part of a condition");
    if (*before != NULL && *before != join)
        return refuse(parser, "AND and OR beside each other need brackets");
    *before = join;
    next(parser);
    return true;
}

bool filter_check(const char *condition, struct error *err)
{
    struct parser parser = {.text = condition, .at = condition, .err = err};

    next(&parser);
    if (strlen(condition) > FILTER_BYTES_MAX)
        return error_set(err, ERROR_CONFIG, "it is longer than %d bytes", FILTER_BYTES_MAX);
    do {
        if (!read_term(&parser))
            return false;
    } while (parser.token.kind != END && read_join(&parser));
    if (parser.token.kind != END)
        return false;
    return parser.depth == 0 || refuse(&parser, "a bracket is not closed");
}
