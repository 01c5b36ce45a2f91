#include "sandbox/conditions.h"

#include <openssl/evp.h>
#include <string.h>

#include "sandbox/ids.h"
#include "sandbox/times.h"

enum { NOT_MODIFIED = 304, PRECONDITION_FAILED = 412 };

/* What is known of the row. */
struct subject {
    int64_t modified_s;
    const char *tag; /* NULL: no ETags for this object */
};

static void hash_value(EVP_MD_CTX *context, const struct value *value)
{
    EVP_DigestUpdate(context, &value->kind, sizeof(value->kind));
    EVP_DigestUpdate(context, &value->integer, sizeof(value->integer));
    EVP_DigestUpdate(context, &value->real, sizeof(value->real));
    if (value->text != NULL)
        EVP_DigestUpdate(context, value->text, strlen(value->text) + 1);
}

/* A digest of everything the row holds: two changes in one second differ. */
static const char *make_tag(struct arena *arena, const struct store_row *row)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    char *text = arena_alloc(arena, EVP_MAX_MD_SIZE * 2);
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    EVP_DigestInit_ex(context, EVP_sha1(), NULL);
    for (size_t i = 0; i < row->object->field_count; i++)
        hash_value(context, &row->values[i]);
    EVP_DigestFinal_ex(context, digest, &size);
    EVP_MD_CTX_free(context);
    EVP_EncodeBlock((unsigned char *)text, digest, (int)size);
    return text;
}

static bool load_subject(struct call *call, const struct object *object, const char *id,
                         struct subject *subject)
{
    const struct field *field = schema_field(object, "LastModifiedDate");
    struct store_row row = {.object = object};
    struct ids_text whole;
    struct error err = {0};

    *subject = (struct subject){0};
    if (!ids_normalize(id, &whole))
        return false;
    row.id = whole.text;
    if (!store_load(call->org->store, call->arena, &row, &err) || row.values == NULL ||
        !times_parse_datetime(row.values[field->index].text, false, &subject->modified_s))
        return false;
    if (strcmp(object->name, "Account") == 0)
        subject->tag = make_tag(call->arena, &row);
    return true;
}

/* ---- what the headers ask ---- */

static bool read_moment(const struct call *call, const char *name, int64_t *seconds)
{
    const char *text = http_server_header(call->request, name);

    return text != NULL && times_parse_http(text, seconds);
}

/* Whether a list like "a", "b-gzip" or * has the tag. */
static bool lists_tag(const char *list, const char *tag)
{
    size_t length = strlen(tag);

    if (strcmp(list, "*") == 0)
        return true;
    for (const char *found = strstr(list, tag); found != NULL; found = strstr(found + 1, tag))
        if (found > list && found[-1] == '"' &&
            (found[length] == '"' || strncmp(found + length, "-gzip\"", 6) == 0))
            return true;
    return false;
}

static bool is_tag_list(const char *list)
{
    return strcmp(list, "*") == 0 ||
           (strchr(list, '"') != NULL && strchr(list, '"') != strrchr(list, '"'));
}

static bool answer_empty(struct call *call, int status)
{
    call->response->status = status;
    return false;
}

static bool refuse_tag(struct call *call, const char *name)
{
    call_error(call, "INVALID_HEADER", "The %s header is not a list of entity tags", name);
    return false;
}

/* True when the row is as the client last saw it. */
static bool is_as_expected(const struct call *call, const struct subject *subject)
{
    const char *tags = http_server_header(call->request, "If-Match");
    int64_t limit_s = 0;

    if (tags != NULL && subject->tag != NULL && !lists_tag(tags, subject->tag))
        return false;
    return !read_moment(call, "If-Unmodified-Since", &limit_s) || subject->modified_s <= limit_s;
}

static bool is_unchanged(const struct call *call, const struct subject *subject)
{
    const char *tags = http_server_header(call->request, "If-None-Match");
    int64_t limit_s = 0;

    if (tags != NULL && subject->tag != NULL)
        return lists_tag(tags, subject->tag);
    return read_moment(call, "If-Modified-Since", &limit_s) && subject->modified_s <= limit_s;
}

static void set_headers(struct call *call, const struct subject *subject)
{
    const char *encoding = http_server_header(call->request, "Accept-Encoding");
    bool is_packed = encoding != NULL && strcasestr(encoding, "gzip") != NULL;

    call_header(call, "Last-Modified",
                arena_strdup(call->arena, times_format_http(subject->modified_s).text));
    if (subject->tag != NULL)
        call_header(call, "ETag",
                    arena_printf(call->arena, "\"%s%s\"", subject->tag, is_packed ? "-gzip" : ""));
}

bool conditions_read_row(struct call *call, const struct object *object, const char *id)
{
    struct subject subject;

    if (!load_subject(call, object, id, &subject))
        return true;
    set_headers(call, &subject);
    if (!is_as_expected(call, &subject))
        return answer_empty(call, PRECONDITION_FAILED);
    return !is_unchanged(call, &subject) || answer_empty(call, NOT_MODIFIED);
}

bool conditions_change_row(struct call *call, const struct object *object, const char *id)
{
    static const char *const names[] = {"If-Match", "If-None-Match"};
    struct subject subject;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *tags = http_server_header(call->request, names[i]);

        if (tags != NULL && !is_tag_list(tags))
            return refuse_tag(call, names[i]);
    }
    if (!load_subject(call, object, id, &subject))
        return true;
    const char *others = http_server_header(call->request, "If-None-Match");
    bool is_other = others == NULL || subject.tag == NULL || !lists_tag(others, subject.tag);
    return (is_other && is_as_expected(call, &subject)) || answer_empty(call, PRECONDITION_FAILED);
}

bool conditions_describe(struct call *call)
{
    struct subject subject = {.modified_s = call->org->schema_modified_s};

    set_headers(call, &subject);
    return !is_unchanged(call, &subject) || answer_empty(call, NOT_MODIFIED);
}
