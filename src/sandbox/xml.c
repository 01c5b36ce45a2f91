#include "sandbox/xml.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    char character;
} entities[] = {
    {"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''},
};

/* The tag at `text`, behind "<" and a prefix: whether it opens an element of that name. */
static bool is_tag(const char *text, const char *name, bool is_end)
{
    if (is_end != (*text == '/'))
        return false;
    text += is_end;
    size_t length = strcspn(text, " \t\r\n/>:");
    if (text[length] == ':') {
        text += length + 1;
        length = strcspn(text, " \t\r\n/>");
    }
    return strlen(name) == length && strncmp(text, name, length) == 0;
}

static const char *find_tag(const char *text, const char *name, bool is_end)
{
    for (text = strchr(text, '<'); text != NULL; text = strchr(text + 1, '<'))
        if (is_tag(text + 1, name, is_end))
            return text;
    return NULL;
}

static size_t put_utf8(char *out, unsigned long code)
{
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xff00u >> size & 0xff) | code);
    return size;
}

/* Reads the entity behind the &, writes what it stands for; answers how long it is, 0 for none. A
 * written character is never longer than its entity. */
static size_t read_entity(const char *text, char *out, size_t *written)
{
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
        if (strncmp(text, entities[i].name, strlen(entities[i].name)) == 0) {
            out[0] = entities[i].character;
            *written = 1;
            return strlen(entities[i].name);
        }
    bool is_hex = text[0] == '#' && text[1] == 'x';
    char *end = NULL;
    const char *digits = text + (is_hex ? 2 : 1);
    if (text[0] != '#' || !isxdigit((unsigned char)*digits))
        return 0;
    unsigned long code = strtoul(digits, &end, is_hex ? 16 : 10);
    if (*end != ';')
        return 0;
    *written = put_utf8(out, code);
    return (size_t)(end + 1 - text);
}

static const char *unescape(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_strndup(arena, text, length);
    char *out = copy;

    for (const char *each = copy; *each != '\0';) {
        size_t written = 0;
        size_t taken = *each == '&' ? read_entity(each + 1, out, &written) : 0;

        if (taken > 0) {
            out += written;
            each += taken + 1;
        } else {
            *out++ = *each++;
        }
    }
    *out = '\0';
    return copy;
}

const char *xml_find(struct arena *arena, const char *document, const char *name)
{
    const char *tag = find_tag(document, name, false);
    const char *start = tag != NULL ? strchr(tag, '>') : NULL;

    if (start == NULL)
        return NULL;
    if (start[-1] == '/')
        return "";
    const char *end = find_tag(start, name, true);
    return end != NULL ? unescape(arena, start + 1, (size_t)(end - start - 1)) : NULL;
}

void xml_write(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': buf_text(out, "&amp;"); break;
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '"': buf_text(out, "&quot;"); break;
        default:
            /* XML has no place for the other control characters. */
            if ((unsigned char)*text >= 0x20 || strchr("\t\r\n", *text) != NULL)
                buf_char(out, *text);
        }
    }
}

const char *xml_escape(struct arena *arena, const char *text)
{
    struct buf out BUF_AUTO = {0};

    buf_init(&out, SIZE_MAX / 2);
    xml_write(&out, text);
    return arena_strdup(arena, out.data);
}
