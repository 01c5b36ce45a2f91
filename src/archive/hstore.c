#include "archive/hstore.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int compare_keys(const void *left, const void *right)
{
    const struct hstore_pair *a = left;
    const struct hstore_pair *b = right;
    size_t a_bytes = strlen(a->key);
    size_t b_bytes = strlen(b->key);

    if (a_bytes != b_bytes)
        return a_bytes < b_bytes ? -1 : 1;
    return memcmp(a->key, b->key, a_bytes);
}

const struct hstore_pair *hstore_find(const struct hstore_pair *pairs, size_t count,
                                      const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return &pairs[i];
    return NULL;
}

void hstore_sort(struct hstore_pair *pairs, size_t count)
{
    qsort(pairs, count, sizeof(*pairs), compare_keys);
}

static void append_quoted(struct buf *buf, const char *text, size_t size_bytes)
{
    size_t plain_from = 0;

    buf_char(buf, '"');
    for (size_t i = 0; i < size_bytes; i++) {
        if (text[i] != '"' && text[i] != '\\')
            continue;
        buf_append(buf, text + plain_from, i - plain_from);
        buf_char(buf, '\\');
        plain_from = i;
    }
    buf_append(buf, text + plain_from, size_bytes - plain_from);
    buf_char(buf, '"');
}

void hstore_print(struct buf *buf, const struct hstore_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_text(buf, ", ");
        append_quoted(buf, pairs[i].key, strlen(pairs[i].key));
        buf_text(buf, "=>");
        if (pairs[i].value == NULL)
            buf_text(buf, "NULL");
        else
            append_quoted(buf, pairs[i].value, pairs[i].value_bytes);
    }
}

struct parser {
    const char *start;
    const char *at;
    struct arena *arena;
};

static void skip_spaces(struct parser *parser)
{
    while (isspace((unsigned char)*parser->at))
        parser->at++;
}

static bool refuse(const struct parser *parser, const char *expected, struct error *err)
{
    return error_set(err, ERROR_RECORD, "not an hstore text: %s expected at byte %zu", expected,
                     (size_t)(parser->at - parser->start) + 1);
}

/* Whether an unquoted word ends here. */
static bool ends_word(const char *at)
{
    return *at == '\0' || *at == ',' || isspace((unsigned char)*at) ||
           (at[0] == '=' && at[1] == '>');
}

/* How long the string from here can be, so that a long text does not cost its length once a pair.
 */
static size_t string_room(const char *at, bool is_quoted)
{
    const char *end = at;

    while (*end != '\0' && (is_quoted ? *end != '"' : !ends_word(end)))
        end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    return (size_t)(end - at) + 1;
}

/* A quoted string or a bare word; the escapes are resolved, so the copy is never longer. */
static bool parse_string(struct parser *parser, char **text, size_t *size_bytes, bool *is_quoted,
                         struct error *err)
{
    *is_quoted = *parser->at == '"';
    if (*is_quoted)
        parser->at++;

    char *out = arena_alloc(parser->arena, string_room(parser->at, *is_quoted));
    size_t used = 0;
    while (*is_quoted ? *parser->at != '"' : !ends_word(parser->at)) {
        if (*parser->at == '\\')
            parser->at++;
        if (*parser->at == '\0')
            return refuse(parser, "a closing quote", err);
        out[used++] = *parser->at++;
    }
    if (*is_quoted)
        parser->at++;
    else if (used == 0)
        return refuse(parser, "a key or a value", err);
    *text = out;
    *size_bytes = used;
    return true;
}

static bool parse_pair(struct parser *parser, struct hstore_pair *pair, struct error *err)
{
    char *text;
    bool is_quoted;

    if (!parse_string(parser, &text, &pair->value_bytes, &is_quoted, err))
        return false;
    pair->key = text;
    skip_spaces(parser);
    if (strncmp(parser->at, "=>", 2) != 0)
        return refuse(parser, "=>", err);
    parser->at += 2;
    skip_spaces(parser);
    if (!parse_string(parser, &text, &pair->value_bytes, &is_quoted, err))
        return false;
    bool is_null = !is_quoted && strcasecmp(text, "NULL") == 0;
    pair->value = is_null ? NULL : text;
    skip_spaces(parser);
    return true;
}

/* An upper bound: every pair has its own "=>". */
static size_t count_arrows(const char *text)
{
    size_t count = 0;

    while ((text = strstr(text, "=>")) != NULL) {
        count++;
        text += 2;
    }
    return count;
}

bool hstore_parse(const char *text, struct arena *arena, struct hstore_pair **pairs, size_t *count,
                  struct error *err)
{
    struct parser parser = {.start = text, .at = text, .arena = arena};

    *pairs = arena_array(arena, struct hstore_pair, count_arrows(text) + 1);
    *count = 0;
    skip_spaces(&parser);
    while (*parser.at != '\0') {
        if (!parse_pair(&parser, &(*pairs)[*count], err))
            return false;
        (*count)++;
        if (*parser.at == ',')
            parser.at++;
        else if (*parser.at != '\0')
            return refuse(&parser, "a comma", err);
        skip_spaces(&parser);
    }
    return true;
}
