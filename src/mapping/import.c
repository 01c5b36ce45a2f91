#include "mapping/import.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
    FILE_BYTES_MAX = 16 << 20,
    MAPPINGS_MAX = 5000,
    FIELDS_MAX = 1590, /* PostgreSQL holds 1,600 columns, ours included */
    POLLING_SECONDS_DEFAULT = 600,
    POLLING_SECONDS_MAX = 86400,
    API_CALLS_DEFAULT = 30000,
    PROBLEMS_MAX = 1000,
};

static void decref_json(json_t **json)
{
    json_decref(*json);
}

void import_problem(struct import_problems *problems, const char *format, ...)
{
    va_list args;

    problems->count++;
    if (problems->kept == PROBLEMS_MAX)
        return;
    if (problems->lines == NULL)
        problems->lines = arena_array(problems->arena, const char *, PROBLEMS_MAX);
    va_start(args, format);
    problems->lines[problems->kept++] = arena_vprintf(problems->arena, format, args);
    va_end(args);
}

/* Whole lines only, then how many are missing. */
static bool list_problems(const struct import_problems *problems, const char *what,
                          struct error *err)
{
    struct buf text BUF_AUTO = {0};
    size_t shown = 0;

    buf_init(&text, sizeof(err->message) - 1 - strlen("\n... and 18446744073709551615 more"));
    buf_printf(&text, "%s:", what);
    while (shown < problems->kept && !buf_is_full(&text)) {
        size_t size = strlen(problems->lines[shown]) + 1;
        if (text.size_bytes + size > text.max_bytes)
            break;
        buf_printf(&text, "\n%s", problems->lines[shown++]);
    }
    if (shown == problems->count)
        return error_set(err, ERROR_CONFIG, "%s", text.data);
    return error_set(err, ERROR_CONFIG, "%s\n... and %zu more", text.data, problems->count - shown);
}

bool import_problems_end(const struct import_problems *problems, const char *what,
                         struct error *err)
{
    return problems->count == 0 || list_problems(problems, what, err);
}

/* What one entry is being read into, and where in the file it stands. */
struct reader {
    struct arena *arena;
    struct import_problems *problems;
    const char *path; /* "mappings[3] (Contact)" */
};

static const char *read_text(const struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL || json_is_null(value))
        return "";
    if (!json_is_string(value)) {
        import_problem(reader->problems, "%s.%s must be a text", reader->path, key);
        return "";
    }
    return arena_strdup(reader->arena, json_string_value(value));
}

static int read_number(const struct reader *reader, const json_t *config, const char *key,
                       int fallback, int most)
{
    const json_t *value = json_object_get(config, key);

    if (value == NULL || json_is_null(value))
        return fallback;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > most) {
        import_problem(reader->problems, "%s.config.%s must be a whole number from 1 to %d",
                       reader->path, key, most);
        return fallback;
    }
    return (int)json_integer_value(value);
}

static enum mapping_access read_access(const struct reader *reader, const json_t *config)
{
    const json_t *value = json_object_get(config, "access");
    const char *access = value == NULL ? "read_only" : json_string_value(value);

    if (access != NULL && strcmp(access, "read_write") == 0)
        return MAPPING_READ_WRITE;
    if (access == NULL || strcmp(access, "read_only") != 0)
        import_problem(reader->problems, "%s.config.access must be \"read_only\" or \"read_write\"",
                       reader->path);
    return MAPPING_READ_ONLY;
}

static bool read_flag(const struct reader *reader, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);

    if (value != NULL && !json_is_boolean(value) && !json_is_null(value))
        import_problem(reader->problems, "%s.config.%s must be true or false", reader->path, key);
    return json_is_true(value);
}

static void read_fields(const struct reader *reader, json_t *config, struct import_entry *entry)
{
    json_t *fields = json_object_get(config, "fields");
    const char *name = NULL;
    json_t *value = NULL;

    if (!json_is_object(fields)) {
        import_problem(reader->problems,
                       "%s.config.fields is missing: it must be an object with a key per field",
                       reader->path);
        return;
    }
    if (json_object_size(fields) > FIELDS_MAX) {
        import_problem(reader->problems, "%s.config.fields has more than %d fields: a table cannot",
                       reader->path, FIELDS_MAX);
        return;
    }
    entry->field_names = arena_array(reader->arena, const char *, json_object_size(fields));
    json_object_foreach(fields, name, value) entry->field_names[entry->field_count++] =
        arena_strdup(reader->arena, name);
}

/* The oldest exports have no indexes. */
static void read_indexes(const struct reader *reader, json_t *config, struct import_entry *entry)
{
    json_t *indexes = json_object_get(config, "indexes");
    const char *name = NULL;
    json_t *value = NULL;

    if (indexes == NULL || json_is_null(indexes))
        return;
    if (!json_is_object(indexes)) {
        import_problem(reader->problems, "%s.config.indexes must be an object", reader->path);
        return;
    }
    entry->indexes = arena_array(reader->arena, struct import_index, json_object_size(indexes));
    json_object_foreach(indexes, name, value)
    {
        if (!json_is_object(value))
            import_problem(reader->problems,
                           "%s.config.indexes.%s must be {\"unique\": true|false}", reader->path,
                           name);
        entry->indexes[entry->index_count++] =
            (struct import_index){.field_name = arena_strdup(reader->arena, name),
                                  .is_unique = json_is_true(json_object_get(value, "unique"))};
    }
}

static const char *dump_config(const json_t *config, struct arena *arena)
{
    char *dumped = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
    const char *text = dumped != NULL ? arena_strdup(arena, dumped) : "{}";

    free(dumped);
    return text;
}

static void read_entry(struct reader *reader, json_t *mapping, size_t position,
                       struct import_entry *entry)
{
    json_t *config = json_object_get(mapping, "config");

    reader->path = arena_printf(reader->arena, "mappings[%zu]", position);
    entry->object_name = read_text(reader, mapping, "object_name");
    if (entry->object_name[0] == '\0') {
        import_problem(reader->problems, "%s.object_name is missing", reader->path);
        return;
    }
    reader->path = arena_printf(reader->arena, "%s (%s)", reader->path, entry->object_name);
    if (!json_is_object(config)) {
        import_problem(reader->problems, "%s.config is missing: it must be an object",
                       reader->path);
        return;
    }
    const char *upsert_field = read_text(reader, config, "upsert_field");
    entry->upsert_field = upsert_field[0] != '\0' ? upsert_field : NULL;
    entry->access = read_access(reader, config);
    entry->is_notified = read_flag(reader, config, "sf_notify_enabled");
    entry->polling_seconds = read_number(reader, config, "sf_polling_seconds",
                                         POLLING_SECONDS_DEFAULT, POLLING_SECONDS_MAX);
    entry->max_daily_api_calls =
        read_number(reader, config, "sf_max_daily_api_calls", API_CALLS_DEFAULT, INT32_MAX);
    read_fields(reader, config, entry);
    read_indexes(reader, config, entry);
    entry->config = dump_config(config, reader->arena);
}

static const char *read_features(struct reader *reader, const json_t *connection)
{
    const json_t *features = json_object_get(connection, "features");

    if (features == NULL || json_is_null(features))
        return "{}";
    if (json_is_object(features))
        return dump_config(features, reader->arena);
    import_problem(reader->problems, "%s.features is not an object of flags", reader->path);
    return "{}";
}

static bool read_file(json_t *root, struct arena *arena, struct import *import, struct error *err)
{
    struct import_problems problems = {.arena = arena};
    struct reader reader = {.arena = arena, .problems = &problems, .path = "connection"};
    json_t *mappings = json_object_get(root, "mappings");
    const json_t *connection = json_object_get(root, "connection");
    const json_t *version = json_object_get(root, "version");

    if (!json_is_array(mappings))
        return error_set(err, ERROR_CONFIG,
                         "\"mappings\" is missing: this is no configuration exported by Heroku "
                         "Connect (Settings, Import/Export Configuration)");
    if (version != NULL && (!json_is_integer(version) || json_integer_value(version) != 1))
        return error_set(err, ERROR_CONFIG,
                         "\"version\" is not 1: only version 1 of the export "
                         "format is known");
    if (json_array_size(mappings) > MAPPINGS_MAX)
        return error_set(err, ERROR_CONFIG, "\"mappings\" has more than %d entries: split the file",
                         MAPPINGS_MAX);
    import->app_name = read_text(&reader, connection, "app_name");
    import->organization_id = read_text(&reader, connection, "organization_id");
    import->features = read_features(&reader, connection);
    import->entry_count = json_array_size(mappings);
    import->entries = arena_array(arena, struct import_entry, import->entry_count);
    for (size_t i = 0; i < import->entry_count; i++)
        read_entry(&reader, json_array_get(mappings, i), i, &import->entries[i]);
    return import_problems_end(&problems, "the mappings cannot be imported", err);
}

bool import_parse(const char *text, size_t size_bytes, struct arena *arena, struct import *import,
                  struct error *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* from editors on Windows */
    size_t mark = strlen(byte_order_mark);
    json_error_t where;

    *import = (struct import){.app_name = "", .organization_id = "", .features = "{}"};
    if (size_bytes > FILE_BYTES_MAX)
        return error_set(err, ERROR_CONFIG, "the file is larger than %d MB: split it",
                         FILE_BYTES_MAX >> 20);
    if (size_bytes >= mark && memcmp(text, byte_order_mark, mark) == 0) {
        text += mark;
        size_bytes -= mark;
    }
    json_t *root __attribute__((cleanup(decref_json))) =
        json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return error_set(err, ERROR_CONFIG, "the file is not JSON: line %d, column %d: %s",
                         where.line, where.column, where.text);
    return read_file(root, arena, import, err);
}
