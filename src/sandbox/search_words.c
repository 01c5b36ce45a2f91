#include "sandbox/search_words.h"

#include <string.h>
#include <strings.h>

enum { MAX_DEPTH = 20 };

/* The text that is left, and the word taken last. */
struct words {
    const char *text;
    const char *word;
    size_t length;
    bool is_phrase;
};

static bool next_word(struct words *words)
{
    words->text += strspn(words->text, " \t\r\n()");
    words->is_phrase = *words->text == '"';
    words->word = words->text + words->is_phrase;
    words->length = strcspn(words->word, words->is_phrase ? "\"" : " \t\r\n()\"");
    words->text = words->word + words->length;
    if (words->is_phrase && *words->text == '"')
        words->text++;
    return *words->word != '\0';
}

static bool is_word(const struct words *words, const char *word)
{
    return !words->is_phrase && words->length == strlen(word) &&
           strncasecmp(words->word, word, words->length) == 0;
}

/* Inside a SOQL string that is given to LIKE. A backslash takes the sign behind it as it is. */
static void write_pattern(struct buf *soql, const struct words *words)
{
    for (size_t i = 0; i < words->length; i++) {
        char character = words->word[i];

        if (character == '\\' && i + 1 < words->length)
            character = words->word[++i];
        else if (character == '*' || character == '?') {
            buf_char(soql, character == '*' ? '%' : '_');
            continue;
        }
        if (strchr("'\\", character) != NULL)
            buf_char(soql, '\\');
        if (strchr("%_", character) != NULL)
            buf_char(soql, '\\');
        buf_char(soql, character);
    }
}

static void write_word(struct buf *soql, const struct words *words, const char *const *fields,
                       size_t count)
{
    buf_char(soql, '(');
    for (size_t i = 0; i < count; i++) {
        buf_printf(soql, "%s%s LIKE '%%", i > 0 ? " OR " : "", fields[i]);
        write_pattern(soql, words);
        buf_text(soql, "%'");
    }
    buf_char(soql, ')');
}

/* The condition so far. */
struct condition {
    struct buf text;
    const char *joint; /* between all its parts; NULL while there is only one */
    int depth;
};

/* SOQL does not mix AND and OR: where the joint changes, what stands so far becomes one part. */
static bool join(struct condition *condition, const char *joint)
{
    if (condition->text.size_bytes == 0)
        return true;
    if (condition->joint != NULL && strcmp(condition->joint, joint) != 0) {
        struct buf whole BUF_AUTO = {0};

        buf_init(&whole, condition->text.max_bytes);
        buf_printf(&whole, "(%s)", condition->text.data);
        buf_clear(&condition->text);
        buf_append(&condition->text, whole.data, whole.size_bytes);
        condition->depth++;
    }
    condition->joint = joint;
    buf_text(&condition->text, joint);
    return condition->depth < MAX_DEPTH;
}

bool search_words(struct buf *soql, const char *text, const char *const *fields, size_t count)
{
    struct words words = {.text = text};
    struct condition condition = {0};
    const char *joint = " AND ";
    bool is_negated = false;
    bool is_found = false;
    bool is_good = true;

    buf_init(&condition.text, soql->max_bytes);
    while (is_good && next_word(&words)) {
        if (is_word(&words, "AND") || is_word(&words, "OR")) {
            joint = is_word(&words, "OR") ? " OR " : " AND ";
        } else if (is_word(&words, "NOT")) {
            is_negated = true;
        } else if (words.length > 0) {
            is_good = join(&condition, joint);
            buf_text(&condition.text, is_negated ? "(NOT " : "");
            write_word(&condition.text, &words, fields, count);
            buf_text(&condition.text, is_negated ? ")" : "");
            is_found = is_found || words.length >= 2;
            is_negated = false;
            joint = " AND ";
        }
    }
    buf_append(soql, condition.text.data, condition.text.size_bytes);
    is_good = is_good && !buf_is_full(&condition.text);
    buf_done(&condition.text);
    return is_good && is_found;
}
