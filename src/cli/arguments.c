#include "cli/arguments.h"

#include <string.h>

/* Whether the list has the name; *takes_value says what stands behind it. */
static bool find_known(const char *known, const char *name, size_t size, bool *takes_value)
{
    for (const char *at = known; *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        *takes_value = at[length - 1] == '=';
        if (length - *takes_value == size && strncmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static bool refuse(const char *text, const char *known, struct error *err)
{
    if (known[0] == '\0')
        return error_set(err, ERROR_USAGE, "unknown option %s (there are none)", text);
    return error_set(err, ERROR_USAGE, "unknown option %s (there are: %s)", text, known);
}

/* How many texts the option takes up: 1 or 2; 0 when it is wrong. */
static int read_option(int count, char **texts, const char *known, struct arguments_read *read,
                       struct error *err)
{
    struct arguments_option *option = &read->options[read->option_count++];
    const char *equals = strchr(texts[0], '=');
    size_t size = equals != NULL ? (size_t)(equals - texts[0]) - 2 : strlen(texts[0]) - 2;
    bool takes_value;

    *option = (struct arguments_option){0};
    if (!find_known(known, texts[0] + 2, size, &takes_value)) {
        refuse(texts[0], known, err);
        return 0;
    }
    option->name = texts[0] + 2;
    option->value = equals != NULL ? equals + 1 : takes_value && count > 1 ? texts[1] : NULL;
    if (takes_value == (option->value != NULL))
        return takes_value && equals == NULL ? 2 : 1;
    error_set(err, ERROR_USAGE, takes_value ? "%s needs a value" : "%s takes no value", texts[0]);
    return 0;
}

bool arguments_read(int count, char **texts, const char *known, struct arguments_read *read,
                    struct error *err)
{
    *read = (struct arguments_read){0};
    if (count > ARGUMENTS_MAX)
        return error_set(err, ERROR_USAGE, "more than %d arguments", ARGUMENTS_MAX);
    for (int i = 0, used = 1; i < count; i += used) {
        used = 1;
        if (strncmp(texts[i], "--", 2) != 0)
            read->rest[read->rest_count++] = texts[i];
        else
            used = read_option(count - i, texts + i, known, read, err);
        if (used == 0)
            return false;
    }
    return true;
}

bool arguments_read_options(int count, char **texts, const char *known, struct arguments_read *read,
                            struct error *err)
{
    return arguments_read(count, texts, known, read, err) &&
           (read->rest_count == 0 ||
            error_set(err, ERROR_USAGE,
                      "nothing is known of \"%.40s\" here (there are options: %s)", read->rest[0],
                      known));
}

static bool is_named(const struct arguments_option *option, const char *name)
{
    size_t size = strlen(name);

    return strncmp(option->name, name, size) == 0 &&
           (option->name[size] == '\0' || option->name[size] == '=');
}

bool arguments_has(const struct arguments_read *read, const char *name)
{
    for (int i = 0; i < read->option_count; i++)
        if (is_named(&read->options[i], name))
            return true;
    return false;
}

const char *arguments_value(const struct arguments_read *read, const char *name, int i)
{
    for (int at = 0; at < read->option_count; at++)
        if (is_named(&read->options[at], name) && i-- == 0)
            return read->options[at].value;
    return NULL;
}
