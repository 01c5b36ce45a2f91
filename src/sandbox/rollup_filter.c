#include "sandbox/rollup_filter.h"

#include <string.h>
#include <strings.h>

#include "sandbox/times.h"

enum { MAX_ITEMS = 50 };

/* $ is the field, # a value. */
static const struct operation {
    const char *name;
    const char *text;
    const char *picklist;
    const char *multiple;
    const char *other; /* numbers, dates and checkboxes */
    bool is_negated;
} operations[] = {
    {"equals", "LOWER($) = #", "ISPICKVAL($, #)", NULL, "$ = #", false},
    {"notEqual", "LOWER($) = #", "ISPICKVAL($, #)", NULL, "$ = #", true},
    {"lessThan", NULL, NULL, NULL, "$ < #", false},
    {"greaterThan", NULL, NULL, NULL, "$ > #", false},
    {"lessOrEqual", NULL, NULL, NULL, "$ <= #", false},
    {"greaterOrEqual", NULL, NULL, NULL, "$ >= #", false},
    {"contains", "CONTAINS(LOWER($), #)", "CONTAINS(LOWER(TEXT($)), #)", NULL, NULL, false},
    {"notContain", "CONTAINS(LOWER($), #)", "CONTAINS(LOWER(TEXT($)), #)", NULL, NULL, true},
    {"startsWith", "BEGINS(LOWER($), #)", "BEGINS(LOWER(TEXT($)), #)", NULL, NULL, false},
    {"includes", NULL, NULL, "INCLUDES($, #)", NULL, false},
    {"excludes", NULL, NULL, "INCLUDES($, #)", NULL, true},
};

/* One condition on its way. */
struct condition {
    struct arena *arena;
    const struct field *field;
    const struct operation *operation;
};

static const struct operation *find_operation(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

static bool is_picklist(const struct field *field)
{
    return strcmp(field->type->name, "picklist") == 0;
}

static bool is_multiple(const struct field *field)
{
    return strcmp(field->type->name, "multipicklist") == 0;
}

static const char *find_pattern(const struct condition *condition)
{
    const struct field *field = condition->field;

    if (is_picklist(field))
        return condition->operation->picklist;
    if (is_multiple(field))
        return condition->operation->multiple;
    return field->type->kind <= KIND_ID ? condition->operation->text : condition->operation->other;
}

/* A text between quotes; what is compared in lower case is written so. */
static const char *quote(const struct condition *condition, const char *text, size_t length)
{
    bool keeps_case = strstr(find_pattern(condition), "LOWER") == NULL;
    char *out = arena_alloc(condition->arena, 2 * length + 3);
    size_t used = 0;

    out[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            out[used++] = '\\';
        bool is_upper = text[i] >= 'A' && text[i] <= 'Z';
        out[used++] = is_upper && !keeps_case ? (char)(text[i] - 'A' + 'a') : text[i];
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}

/* One value as the formula writes it; NULL when it is none of the field's. */
static const char *write_value(const struct condition *condition, const char *text, size_t length)
{
    struct arena *arena = condition->arena;
    const char *plain = arena_strndup(arena, text, length);
    int64_t seconds = 0;

    switch (condition->field->type->kind) {
    case KIND_BOOLEAN:
        if (strcasecmp(plain, "true") == 0 || strcmp(plain, "1") == 0)
            return "TRUE";
        return strcasecmp(plain, "false") == 0 || strcmp(plain, "0") == 0 ? "FALSE" : NULL;
    case KIND_INTEGER:
    case KIND_REAL: return length > 0 && strspn(plain, "-0123456789.") == length ? plain : NULL;
    case KIND_DATE:
        if (!times_parse_date(plain, &seconds))
            return NULL;
        return arena_printf(arena, "DATEVALUE(\"%s\")", times_format_date(seconds).text);
    case KIND_DATETIME:
        if (!times_parse_datetime(plain, true, &seconds))
            return NULL;
        return arena_printf(arena, "DATETIMEVALUE(\"%.10s %.8s\")",
                            times_format_datetime(seconds).text,
                            times_format_datetime(seconds).text + strlen("2026-01-31T"));
    default: return quote(condition, text, length);
    }
}

static const char *write_one(const struct condition *condition, const char *value)
{
    struct arena *arena = condition->arena;
    const char *out = "";

    for (const char *each = find_pattern(condition); *each != '\0'; each++)
        out = *each == '$'   ? arena_printf(arena, "%s%s", out, condition->field->name)
              : *each == '#' ? arena_printf(arena, "%s%s", out, value)
                             : arena_printf(arena, "%s%c", out, *each);
    return out;
}

/* "Open,Done": any of them. NULL when one is wrong. */
static const char *write_any(const struct condition *condition, const char *values)
{
    const char *out = "";

    do {
        size_t length = strcspn(values, ",");
        const char *value = write_value(condition, values, length);

        if (value == NULL)
            return NULL;
        out = arena_printf(condition->arena, "%s%s%s", out, *out != '\0' ? ", " : "",
                           write_one(condition, value));
        values += length + (values[length] == ',');
    } while (*values != '\0');
    return arena_printf(condition->arena,
                        condition->operation->is_negated ? "NOT(OR(%s))" : "OR(%s)", out);
}

static const char *write_item(struct arena *arena, const struct object *detail, const json_t *item,
                              struct error *err)
{
    const char *name = json_string_value(json_object_get(item, "field"));
    const char *operation = json_string_value(json_object_get(item, "operation"));
    const char *value = json_string_value(json_object_get(item, "value"));
    const char *dot = name != NULL ? strchr(name, '.') : NULL;
    struct condition condition = {.arena = arena, .operation = find_operation(operation)};

    condition.field = name != NULL ? schema_field(detail, dot != NULL ? dot + 1 : name) : NULL;
    if (condition.field == NULL) {
        error_set(err, ERROR_CONFIG, "%s has no %s", detail->name, name != NULL ? name : "field");
        return NULL;
    }
    if (condition.operation == NULL || find_pattern(&condition) == NULL) {
        error_set(err, ERROR_CONFIG, "%s: the operation %s is not supported for a field of type %s",
                  name, operation != NULL ? operation : "(none)", condition.field->type->name);
        return NULL;
    }
    const char *text = write_any(&condition, value != NULL ? value : "");
    if (text == NULL)
        error_set(err, ERROR_CONFIG, "%s: \"%s\" is no value of type %s", name,
                  value != NULL ? value : "", condition.field->type->name);
    return text;
}

const char *rollup_filter_formula(struct arena *arena, const struct object *detail,
                                  const json_t *items, struct error *err)
{
    const char *out = "TRUE";
    size_t index;
    const json_t *item;

    if (json_array_size(items) > MAX_ITEMS) {
        error_set(err, ERROR_CONFIG, "at most %d conditions", MAX_ITEMS);
        return NULL;
    }
    json_array_foreach(items, index, item)
    {
        const char *text = write_item(arena, detail, item, err);

        if (text == NULL)
            return NULL;
        out = arena_printf(arena, "%s, %s", out, text);
    }
    return arena_printf(arena, "AND(%s)", out);
}
