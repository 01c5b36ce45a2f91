#include "mapping/import.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mapping/features.h"
#include "mapping/filter.h"
#include "sf/soql.h"

enum {
    FILE_BYTES_MAX = 16 << 20,
    MAPPINGS_MAX = 5000,
    FIELDS_MAX = 1590, /* PostgreSQL holds 1,600 columns, ours included */
    POLLING_SECONDS_DEFAULT = 600,
    POLLING_SECONDS_MAX = 86400,
    API_CALLS_DEFAULT = 30000,
    PROBLEMS_MAX = 1000,
    NAME_BYTES_MAX = 255, /* relationship, package prefix and field together stay below */
    SHOWN_BYTES = 60,
    WORDS_MAX_BYTES = 1024,
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

static void hide_controls(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
}

/* A name from a file as a message can show it: no control character, not long. */
static const char *show(struct arena *arena, const char *name)
{
    size_t size = strnlen(name, SHOWN_BYTES);

    while (size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80)
        size--; /* whole characters */
    char *shown = arena_strndup(arena, name, size);

    hide_controls(shown);
    return name[size] == '\0' ? shown : arena_printf(arena, "%s...", shown);
}

static bool is_api_name(const char *name)
{
    return soql_is_name(name) && strchr(name, '.') == NULL && strlen(name) <= NAME_BYTES_MAX;
}

static const char *const delete_policies[] = {"remove", "keep", NULL};
static const char *const lost_creates[] = {"probe",  "receipt", "marker", "fail",
                                           "resend", "refuse",  NULL};
static const char *const conflict_policies[] = {"last-writer", "postgres", "salesforce", NULL};
static const char *const truncate_policies[] = {"ignore", "fail", "delete", NULL};

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

static const char *read_config_text(const struct reader *reader, const json_t *config,
                                    const char *key)
{
    struct reader inner = *reader;

    inner.path = arena_printf(reader->arena, "%s.config", reader->path);
    return read_text(&inner, config, key);
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
    const char *access =
        value == NULL || json_is_null(value) ? "read_only" : json_string_value(value);

    if (access != NULL && strcmp(access, "read_write") == 0)
        return MAPPING_READ_WRITE;
    if (access == NULL || strcmp(access, "read_only") != 0)
        import_problem(reader->problems, "%s.config.access must be \"read_only\" or \"read_write\"",
                       reader->path);
    return MAPPING_READ_ONLY;
}

/* An option of ours, which Heroku Connect's exports do not have: one word of a few. */
static void check_word(const struct reader *reader, const json_t *config, const char *key,
                       const char *const *words)
{
    const json_t *value = json_object_get(config, key);
    const char *text = json_string_value(value);
    struct buf list BUF_AUTO = {0};

    buf_init(&list, WORDS_MAX_BYTES);
    for (size_t i = 0; words[i] != NULL; i++) {
        if (value == NULL || json_is_null(value) || (text != NULL && strcmp(text, words[i]) == 0))
            return;
        buf_printf(&list, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
    }
    import_problem(reader->problems, "%s.config.%s must be one of %s", reader->path, key,
                   list.data);
}

/* Likewise: 0 is off. */
static void check_seconds(const struct reader *reader, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);

    if (value != NULL && !json_is_null(value) &&
        (!json_is_integer(value) || json_integer_value(value) < 0 ||
         json_integer_value(value) > INT32_MAX))
        import_problem(reader->problems, "%s.config.%s must be a number of seconds, 0 for never",
                       reader->path, key);
}

static bool read_flag(const struct reader *reader, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);

    if (value != NULL && !json_is_boolean(value) && !json_is_null(value))
        import_problem(reader->problems, "%s.config.%s must be true or false", reader->path, key);
    return json_is_true(value);
}

static bool has_field(const struct import_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (strcasecmp(entry->field_names[i], name) == 0)
            return true;
    return false;
}

static void read_field(const struct reader *reader, const char *name, const json_t *value,
                       struct import_entry *entry)
{
    const char *shown = show(reader->arena, name);

    if (!is_api_name(name))
        import_problem(reader->problems,
                       "%s.config.fields has \"%s\", which is no API name of a field: correct it",
                       reader->path, shown);
    else if (!json_is_object(value) && !json_is_null(value))
        import_problem(reader->problems, "%s.config.fields.%s must be {}", reader->path, shown);
    else if (has_field(entry, name))
        import_problem(reader->problems,
                       "%s.config.fields.%s is there twice, in different cases: remove one",
                       reader->path, shown);
    else
        entry->field_names[entry->field_count++] = arena_strdup(reader->arena, name);
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
    json_object_foreach(fields, name, value) read_field(reader, name, value, entry);
}

static bool has_index(const struct import_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->index_count; i++)
        if (strcasecmp(entry->indexes[i].field_name, name) == 0)
            return true;
    return false;
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
        const json_t *unique = json_object_get(value, "unique");
        if ((!json_is_object(value) && !json_is_null(value)) ||
            (unique != NULL && !json_is_boolean(unique) && !json_is_null(unique)))
            import_problem(reader->problems,
                           "%s.config.indexes.%s must be {\"unique\": true|false}", reader->path,
                           show(reader->arena, name));
        if (has_index(entry, name))
            import_problem(reader->problems,
                           "%s.config.indexes.%s is there twice, in different cases: remove one",
                           reader->path, show(reader->arena, name));
        entry->indexes[entry->index_count++] =
            (struct import_index){.field_name = arena_strdup(reader->arena, name),
                                  .is_unique = json_is_true(json_object_get(value, "unique"))};
    }
}

static const char *dump(const json_t *json, struct arena *arena)
{
    char *dumped = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    const char *text = dumped != NULL ? arena_strdup(arena, dumped) : "{}";

    free(dumped);
    return text;
}

/* Ours; Heroku Connect has none. */
static void read_filter(const struct reader *reader, const json_t *config,
                        struct import_entry *entry)
{
    const char *filter = read_config_text(reader, config, "filter");
    struct error why = {0};

    if (filter[0] == '\0')
        return;
    if (!filter_check(filter, &why))
        import_problem(reader->problems, "%s.config.filter: %s", reader->path, why.message);
    entry->filter = filter;
}

/* The marker field is given over to us: who maps it as well would write it, too. */
static void read_lost_create(const struct reader *reader, const json_t *config,
                             struct import_entry *entry)
{
    const char *wish = json_string_value(json_object_get(config, "lost_create"));
    const char *marker_field = read_config_text(reader, config, "marker_field");

    check_word(reader, config, "lost_create", lost_creates);
    entry->lost_create = wish != NULL ? arena_strdup(reader->arena, wish) : "probe";
    if (strcmp(entry->lost_create, "marker") != 0)
        return;
    if (marker_field[0] == '\0')
        import_problem(reader->problems,
                       "%s.config.lost_create \"marker\" needs a marker_field: a text field of the"
                       " object that nothing else uses",
                       reader->path);
    else if (!is_api_name(marker_field))
        import_problem(reader->problems,
                       "%s.config.marker_field \"%s\" is no API name of a field: correct it",
                       reader->path, show(reader->arena, marker_field));
    else if (has_field(entry, marker_field))
        import_problem(reader->problems,
                       "%s.config.marker_field %s is among the fields, but must be pgforce's alone:"
                       " leave it out of them, or name another",
                       reader->path, marker_field);
    else
        entry->marker_field = marker_field;
}

static void read_config(const struct reader *reader, json_t *config, struct import_entry *entry)
{
    const char *upsert_field = read_config_text(reader, config, "upsert_field");

    entry->upsert_field = upsert_field[0] != '\0' ? upsert_field : NULL;
    entry->access = read_access(reader, config);
    entry->is_notified = read_flag(reader, config, "sf_notify_enabled");
    entry->is_numeric = read_flag(reader, config, "numeric");
    entry->polling_seconds = read_number(reader, config, "sf_polling_seconds",
                                         POLLING_SECONDS_DEFAULT, POLLING_SECONDS_MAX);
    entry->max_daily_api_calls =
        read_number(reader, config, "sf_max_daily_api_calls", API_CALLS_DEFAULT, INT32_MAX);
    check_seconds(reader, config, "calculated_seconds");
    check_word(reader, config, "conflict_policy", conflict_policies);
    if (read_flag(reader, config, "adopt_existing") && entry->upsert_field == NULL)
        import_problem(reader->problems,
                       "%s.config.adopt_existing needs an upsert_field: by it a"
                       " record is known",
                       reader->path);
    check_word(reader, config, "delete_policy", delete_policies);
    check_word(reader, config, "truncate_policy", truncate_policies);
    read_fields(reader, config, entry);
    read_lost_create(reader, config, entry);
    read_indexes(reader, config, entry);
    read_filter(reader, config, entry);
    entry->config = dump(config, reader->arena);
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
    if (!is_api_name(entry->object_name)) {
        import_problem(reader->problems, "%s.object_name \"%s\" is no API name of an object",
                       reader->path, show(reader->arena, entry->object_name));
        return;
    }
    reader->path = arena_printf(reader->arena, "%s (%s)", reader->path, entry->object_name);
    if (!json_is_object(config)) {
        import_problem(reader->problems, "%s.config is missing: it must be an object",
                       reader->path);
        return;
    }
    read_config(reader, config, entry);
    json_t *extra __attribute__((cleanup(decref_json))) = json_copy(mapping);
    json_object_del(extra, "config");
    entry->extra = dump(extra, reader->arena);
}

/* What a file says of its connection is kept; of it only the features mean something here. */
static void read_connection(struct reader *reader, json_t *root, struct import *import)
{
    json_t *connection = json_object_get(root, "connection");
    json_t *features = json_object_get(connection, "features");

    reader->path = "connection";
    if (connection != NULL && !json_is_object(connection) && !json_is_null(connection))
        import_problem(reader->problems, "connection must be an object");
    import->app_name = read_text(reader, connection, "app_name");
    import->organization_id = read_text(reader, connection, "organization_id");
    if (features != NULL && !json_is_object(features) && !json_is_null(features))
        import_problem(reader->problems, "connection.features must be an object");
    else if (json_is_object(features))
        features_read(features, reader->problems, &import->warnings);
    json_t *rest __attribute__((cleanup(decref_json))) = json_copy(root);
    json_object_del(rest, "mappings");
    json_object_set_new(rest, "version", json_integer(1));
    import->rest = dump(rest, reader->arena);
    import->features = json_is_object(features) ? dump(features, reader->arena) : NULL;
}

bool import_read(json_t *root, struct arena *arena, struct import *import, struct error *err)
{
    *import = (struct import){.app_name = "", .organization_id = ""};
    struct import_problems problems = {.arena = arena};
    struct reader reader = {.arena = arena, .problems = &problems};
    json_t *mappings = json_object_get(root, "mappings");
    const json_t *version = json_object_get(root, "version");

    if (!json_is_array(mappings))
        return error_set(err, ERROR_CONFIG,
                         "\"mappings\" is missing: this is no configuration exported by Heroku "
                         "Connect (Settings, Import/Export Configuration)");
    if (version != NULL && !json_is_null(version) && json_number_value(version) != 1)
        return error_set(err, ERROR_CONFIG,
                         "\"version\" is not 1: only version 1 of the export "
                         "format is known");
    if (json_array_size(mappings) > MAPPINGS_MAX)
        return error_set(err, ERROR_CONFIG, "\"mappings\" has more than %d entries: split the file",
                         MAPPINGS_MAX);
    import->warnings.arena = arena;
    read_connection(&reader, root, import);
    import->entry_count = json_array_size(mappings);
    import->entries = arena_array(arena, struct import_entry, import->entry_count);
    for (size_t i = 0; i < import->entry_count; i++)
        read_entry(&reader, json_array_get(mappings, i), i, &import->entries[i]);
    return import_problems_end(&problems, "the mappings cannot be imported", err);
}

bool import_load(const char *text, size_t size_bytes, json_t **root, struct error *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* from editors on Windows */
    size_t mark = strlen(byte_order_mark);
    json_error_t where;

    *root = NULL;
    if (size_bytes > FILE_BYTES_MAX)
        return error_set(err, ERROR_CONFIG, "the file is larger than %d MB: split it",
                         FILE_BYTES_MAX >> 20);
    if (size_bytes >= mark && memcmp(text, byte_order_mark, mark) == 0) {
        text += mark;
        size_bytes -= mark;
    }
    *root = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &where);
    if (*root != NULL)
        return true;
    hide_controls(where.text);
    return error_set(err, ERROR_CONFIG,
                     "the file is not JSON: line %d, column %d: %s: correct it there, or export it"
                     " again",
                     where.line, where.column, where.text);
}

bool import_parse(const char *text, size_t size_bytes, struct arena *arena, struct import *import,
                  struct error *err)
{
    json_t *root __attribute__((cleanup(decref_json))) = NULL;

    return import_load(text, size_bytes, &root, err) && import_read(root, arena, import, err);
}
