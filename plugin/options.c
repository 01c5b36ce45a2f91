#include "options.h"

#include <errno.h>

#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/builtins.h"

/* A value may not take more than this, so that its text and a row of it stay below 1 GB. */
static const long long MAX_VALUE_BYTES = 1000000000;
static const Size DEFAULT_MAX_VALUE_BYTES = 64 * 1024 * 1024;

static void __attribute__((noreturn)) refuse(const char *name, const char *why)
{
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"%s\" of output plugin pgforce %s", name, why)));
    pg_unreachable();
}

static char *trim(const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return pnstrdup(from, to - from);
}

/* The end of the part that begins at text: the separator that no backslash precedes, or the end. */
static const char *part_end(const char *text, char separator)
{
    while (*text != '\0' && *text != separator)
        text += text[0] == '\\' && text[1] != '\0' ? 2 : 1;
    return text;
}

/* a, b,c: none of them empty. */
static List *split(const char *name, const char *text)
{
    List *parts = NIL;

    for (;;) {
        const char *end = part_end(text, ',');
        char *part = trim(text, end);

        if (part[0] == '\0')
            refuse(name, "has an empty element");
        parts = lappend(parts, part);
        if (*end == '\0')
            return parts;
        text = end + 1;
    }
}

/* An origin is named, not matched: the backslashes have done their work in split. */
static void drop_backslashes(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] != '\0')
            text++;
        *to++ = *text;
    }
    *to = '\0';
}

static void read_exclude_origins(struct options *options, const char *name, const char *text)
{
    ListCell *cell;

    options->exclude_origins = split(name, text);
    foreach (cell, options->exclude_origins)
        drop_backslashes(lfirst(cell));
}

static List *read_patterns(const char *name, const char *text)
{
    List *patterns = NIL;
    ListCell *cell;

    foreach (cell, split(name, text)) {
        const char *part = lfirst(cell);
        const char *dot = part_end(part, '.');
        struct name_pattern *pattern = palloc0(sizeof(*pattern));

        if (dot == part || dot[0] == '\0' || dot[1] == '\0' || *part_end(dot + 1, '.') != '\0')
            refuse(name, "wants schema.table, where * stands for any characters");
        pattern->schema = pnstrdup(part, dot - part);
        pattern->table = dot + 1;
        patterns = lappend(patterns, pattern);
    }
    return patterns;
}

static void read_tables(struct options *options, const char *name, const char *text)
{
    options->tables = read_patterns(name, text);
}

static void read_exclude_tables(struct options *options, const char *name, const char *text)
{
    options->exclude_tables = read_patterns(name, text);
}

static void read_schemas(struct options *options, const char *name, const char *text)
{
    ListCell *cell;

    foreach (cell, split(name, text)) {
        struct name_pattern *pattern = palloc0(sizeof(*pattern));

        pattern->schema = lfirst(cell);
        options->schemas = lappend(options->schemas, pattern);
    }
}

static unsigned action_of(const char *name, const char *text)
{
    static const char *const actions[] = {"insert", "update", "delete", "truncate", "message"};

    for (size_t i = 0; i < lengthof(actions); i++)
        if (strcmp(actions[i], text) == 0)
            return 1u << i;
    refuse(name, "knows insert, update, delete, truncate and message");
}

static void read_actions(struct options *options, const char *name, const char *text)
{
    ListCell *cell;

    options->actions = 0;
    foreach (cell, split(name, text))
        options->actions |= action_of(name, lfirst(cell));
}

static void read_max_value_bytes(struct options *options, const char *name, const char *text)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || !isdigit((unsigned char)text[0]) || *end != '\0' || value < 1 ||
        value > MAX_VALUE_BYTES)
        refuse(name, "must be a number of bytes from 1 to 1000000000");
    options->max_value_bytes = (Size)value;
}

static void read_native(struct options *options, const char *name, const char *text)
{
    if (!parse_bool(text, &options->native))
        refuse(name, "must be on or off");
}

static void read_streaming(struct options *options, const char *name, const char *text)
{
    if (!parse_bool(text, &options->streaming))
        refuse(name, "must be on or off");
}

static void read_partitions(struct options *options, const char *name, const char *text)
{
    options->through_root = strcmp(text, "root") == 0;
    if (!options->through_root && strcmp(text, "leaf") != 0)
        refuse(name, "must be leaf or root");
}

static const struct {
    const char *name;
    void (*read)(struct options *options, const char *name, const char *text);
} rows[] = {
    {"exclude_origins", read_exclude_origins}, /* drop these replication origins' transactions */
    {"tables", read_tables},                   /* only these: schema.table, with * */
    {"exclude_tables", read_exclude_tables},   /* not these */
    {"schemas", read_schemas},                 /* only tables in these, with * */
    {"actions", read_actions},                 /* only these kinds of change */
    {"max_value_bytes", read_max_value_bytes}, /* larger values are sent as omitted */
    {"native", read_native},                   /* numbers and dates as such instead of as text */
    {"streaming", read_streaming},             /* large transactions while they are in progress */
    {"partitions", read_partitions},           /* leaf or root: whose name their rows come under */
};

static size_t row_of(const char *name)
{
    for (size_t i = 0; i < lengthof(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return i;
    refuse(name, "does not exist");
}

void options_read(struct options *options, List *elements)
{
    bool seen[lengthof(rows)] = {false};
    ListCell *cell;

    *options = (struct options){
        .actions = ACTION_ALL, .max_value_bytes = DEFAULT_MAX_VALUE_BYTES, .native = true};
    foreach (cell, elements) {
        const DefElem *element = lfirst_node(DefElem, cell);
        size_t row = row_of(element->defname);

        if (seen[row])
            refuse(element->defname, "is given twice");
        if (element->arg == NULL || !IsA(element->arg, String))
            refuse(element->defname, "needs a value");
        seen[row] = true;
        rows[row].read(options, element->defname, strVal(element->arg));
    }
}

/*
 * Without recursion: when a character does not fit, the last star takes one character more, which
 * is enough because earlier stars need never give back what they took.
 */
static bool matches(const char *pattern, const char *name)
{
    const char *after_star = NULL;
    const char *retry = NULL;

    while (*name != '\0') {
        bool is_escaped = pattern[0] == '\\' && pattern[1] != '\0';

        if (*pattern == '*') {
            after_star = ++pattern;
            retry = name;
        } else if (*pattern != '\0' && pattern[is_escaped] == *name) {
            pattern += is_escaped ? 2 : 1;
            name++;
        } else if (after_star != NULL) {
            pattern = after_star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool any_matches(const List *patterns, const char *schema, const char *table)
{
    ListCell *cell;

    foreach (cell, patterns) {
        const struct name_pattern *pattern = lfirst(cell);

        if (matches(pattern->schema, schema) &&
            (pattern->table == NULL || matches(pattern->table, table)))
            return true;
    }
    return false;
}

bool options_take_table(const struct options *options, const char *schema, const char *table)
{
    return (options->tables == NIL || any_matches(options->tables, schema, table)) &&
           (options->schemas == NIL || any_matches(options->schemas, schema, table)) &&
           !any_matches(options->exclude_tables, schema, table);
}
