#include "sandbox/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_BOUNDARY_BYTES = 200 };

bool multipart_is(const char *content_type)
{
    return content_type != NULL && strncasecmp(content_type, "multipart/form-data", 19) == 0;
}

/* Writes "--" and the boundary; 0 when the type names none that could be used. */
static size_t read_boundary(const char *content_type, char *out)
{
    const char *found = strcasestr(content_type, "boundary=");

    if (found == NULL)
        return 0;
    found += strlen("boundary=");
    bool is_quoted = *found == '"';
    found += is_quoted;
    size_t length = strcspn(found, is_quoted ? "\"" : "; \t");
    if (length == 0 || length > MAX_BOUNDARY_BYTES)
        return 0;
    return (size_t)snprintf(out, MAX_BOUNDARY_BYTES + 3, "--%.*s", (int)length, found);
}

/* A part without its last line end. */
struct part {
    const char *start;
    const char *end;
};

/* The start of its content, behind the empty line that ends its headers; NULL when there is none.
 */
static const char *find_content(const struct part *part)
{
    const char *found = memmem(part->start, (size_t)(part->end - part->start), "\r\n\r\n", 4);

    if (found != NULL)
        return found + 4;
    found = memmem(part->start, (size_t)(part->end - part->start), "\n\n", 2);
    return found != NULL ? found + 2 : NULL;
}

static bool has_name(const struct part *part, const char *content, const char *name)
{
    char quoted[MAX_BOUNDARY_BYTES];
    size_t head_bytes = (size_t)(content - part->start);

    snprintf(quoted, sizeof(quoted), "name=\"%s\"", name);
    return memmem(part->start, head_bytes, quoted, strlen(quoted)) != NULL;
}

static const char *trim_end(const struct part *part)
{
    const char *end = part->end;

    if (end > part->start && end[-1] == '\n')
        end--;
    if (end > part->start && end[-1] == '\r')
        end--;
    return end;
}

const char *multipart_find(const struct multipart_body *body, const char *name, size_t *size_bytes)
{
    char boundary[MAX_BOUNDARY_BYTES + 3];
    size_t length = read_boundary(body->content_type, boundary);
    const char *end = body->data + body->size_bytes;
    const char *next = length > 0 ? memmem(body->data, body->size_bytes, boundary, length) : NULL;

    while (next != NULL) {
        struct part part = {.start = next + length};

        next = memmem(part.start, (size_t)(end - part.start), boundary, length);
        if (next == NULL)
            return NULL;
        part.end = next;
        const char *content = find_content(&part);
        part.end = trim_end(&part);
        if (content == NULL || !has_name(&part, content, name))
            continue;
        *size_bytes = part.end > content ? (size_t)(part.end - content) : 0;
        return content;
    }
    return NULL;
}
