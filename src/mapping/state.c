#include "mapping/state.h"

#include <string.h>

enum {
    INITIAL,
    RELOAD_TABLE,
    RESYNC,
    DATA_SYNCED,
    ABORTED,
    SYSTEM_ERROR,
    STORED_COUNT,
    NOT_THERE = STORED_COUNT, /* not a state: the mapping is not there yet, or not any more */
};

static const struct state stored_states[] = {
    [INITIAL] = {"INITIAL", "made, waits for its first load",
                 "the pull role loads it; `pgforce mapping abort`"},
    [RELOAD_TABLE] = {"RELOAD_TABLE", "all records are being read, or will be next",
                      "ends by itself; `pgforce mapping abort`"},
    [RESYNC] = {"RESYNC", "new columns are being filled; polls go on",
                "ends by itself; `pgforce mapping abort`"},
    [DATA_SYNCED] = {"DATA_SYNCED", "everything has been read; polls go on", "none needed"},
    [ABORTED] = {"ABORTED", "an operator stopped what was running; nothing is read any more",
                 "`pgforce resume OBJECT` goes on where it was; `pgforce mapping reload`, `edit` or"
                 " `delete`"},
    [SYSTEM_ERROR] = {"SYSTEM_ERROR", "it cannot be read; the description says why",
                      "mend the reason: it is tried again by itself, at once after"
                      " `pgforce resume`"},
};

/* What is being done at the moment; pgforce.told_state finds it out. */
static const struct state told_states[] = {
    {"SCHEMA_CHANGED", "pgforce is altering its table, or waits for the lock to do so",
     "ends by itself, after a bounded wait"},
    {"WAIT_BULK_LOAD", "a Bulk job for the load is queued in the organisation",
     "ends by itself; `pgforce mapping abort`"},
    {"LOADING_BULK_JOB", "a Bulk job's results are being stored",
     "ends by itself; `pgforce mapping abort`"},
    {"WAIT_BULK_UPDATE", "a Bulk job for a poll is queued in the organisation",
     "ends by itself; `pgforce mapping abort`"},
    {"POLLING_SF_BULK", "a poll reads the result of its Bulk job",
     "ends by itself; `pgforce mapping abort`"},
};

static const struct state connection_states[] = {
    {"NEW", "set up; no organisation has been seen yet", "`pgforce import` or `mapping create`"},
    {"IDLE", "nothing is on its way", "none needed"},
    {"POLLING_DB_CHANGES", "writes are on their way to Salesforce", "ends by itself"},
    {"IMPORT_CONFIGURATION", "an import is running", "ends by itself"},
    {"PAUSED", "nothing is read and nothing is sent; changes are still logged", "`pgforce resume`"},
    {"UNAUTHORIZED", "the organisation refuses the credentials",
     "correct PGFORCE_SF_*, restart the roles"},
    {"DB_UNAVAILABLE", "the database cannot be reached; only ever answered, never stored",
     "start the database"},
};

#define BIT(state)  (1u << (state))
#define LOADING     (BIT(RELOAD_TABLE) | BIT(RESYNC))
#define STOPPED     (BIT(ABORTED) | BIT(SYSTEM_ERROR))
#define NOT_ABORTED (BIT(INITIAL) | LOADING | BIT(DATA_SYNCED) | BIT(SYSTEM_ERROR))

/* An event may lead to several states, and from several to the same one. */
struct way {
    enum state_event event;
    const char *what;
    bool is_operators;
    unsigned from;
    int to;
};

static const struct way ways[] = {
    {STATE_CREATE, "create, import", true, BIT(NOT_THERE), INITIAL},
    {STATE_CREATE, "import of what the organisation lacks", true, BIT(NOT_THERE), SYSTEM_ERROR},
    {STATE_ADOPT, "adopt, the table has rows", true, BIT(INITIAL), DATA_SYNCED},
    {STATE_ADOPT, "adopt, the table lacks columns", true, BIT(INITIAL), RESYNC},
    {STATE_APPEAR, "what the organisation lacked is there", false, BIT(SYSTEM_ERROR), INITIAL},
    {STATE_LOAD, "a load begins or goes on", false, BIT(INITIAL) | BIT(SYSTEM_ERROR), RELOAD_TABLE},
    {STATE_LOAD, "what was begun for new columns goes on", false, BIT(DATA_SYNCED), RESYNC},
    {STATE_READ, "everything has been read", false, LOADING | BIT(SYSTEM_ERROR), DATA_SYNCED},
    {STATE_READ, "the same, but columns lack values", false,
     BIT(RELOAD_TABLE) | BIT(DATA_SYNCED) | BIT(SYSTEM_ERROR), RESYNC},
    {STATE_RETURN, "a field is there again", false, BIT(DATA_SYNCED), RESYNC},
    {STATE_FAIL, "it cannot be read", false, BIT(INITIAL) | LOADING | BIT(DATA_SYNCED),
     SYSTEM_ERROR},
    {STATE_EDIT, "edit, import, refresh; not loaded yet", true, STOPPED, INITIAL},
    {STATE_EDIT, "edit, import, refresh", true, STOPPED, DATA_SYNCED},
    {STATE_EDIT, "edit, import, refresh that add columns", true, BIT(DATA_SYNCED) | STOPPED,
     RESYNC},
    {STATE_EDIT, "another filter", true, BIT(INITIAL) | BIT(RESYNC) | BIT(DATA_SYNCED) | STOPPED,
     RELOAD_TABLE},
    {STATE_RELOAD, "reload", true, BIT(INITIAL) | BIT(DATA_SYNCED) | STOPPED, RELOAD_TABLE},
    {STATE_RELINK, "relink", true, BIT(INITIAL) | BIT(RESYNC) | BIT(DATA_SYNCED) | STOPPED,
     RELOAD_TABLE},
    {STATE_ABORT, "abort", true, NOT_ABORTED, ABORTED},
    {STATE_RESUME, "resume, not loaded yet", true, STOPPED, INITIAL},
    {STATE_RESUME, "resume, loaded before", true, STOPPED, DATA_SYNCED},
    {STATE_RESUME, "resume, new columns lack values", true, STOPPED, RESYNC},
    {STATE_RESUME, "resume, a reload was asked for", true, BIT(SYSTEM_ERROR), RELOAD_TABLE},
    {STATE_DELETE, "delete", true, BIT(INITIAL) | BIT(DATA_SYNCED) | STOPPED, NOT_THERE},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int index_of(const char *name)
{
    for (int i = 0; i < STORED_COUNT; i++)
        if (strcmp(stored_states[i].name, name) == 0)
            return i;
    return name[0] == '\0' ? NOT_THERE : -1;
}

static const char *name_of(int index)
{
    return index == NOT_THERE ? "" : stored_states[index].name;
}

static const struct state *find(const struct state *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const struct state *state_find(const char *name)
{
    const struct state *stored = find(stored_states, COUNT(stored_states), name);

    return stored != NULL ? stored : find(told_states, COUNT(told_states), name);
}

const struct state *state_find_connection(const char *name)
{
    return find(connection_states, COUNT(connection_states), name);
}

const struct state *state_at(size_t i)
{
    return i < STORED_COUNT ? &stored_states[i] : NULL;
}

static unsigned sources(enum state_event event, int to)
{
    unsigned from = 0;

    for (size_t i = 0; i < COUNT(ways); i++)
        if (ways[i].event == event && ways[i].to == to)
            from |= ways[i].from;
    return from;
}

bool state_may_change(enum state_event event, const char *from, const char *to)
{
    int index = index_of(from);

    return index >= 0 && (sources(event, index_of(to)) & BIT(index)) != 0;
}

const char *state_sources(enum state_event event, const char *to, struct arena *arena)
{
    unsigned from = sources(event, index_of(to));
    const char *list = "";

    for (int i = 0; i < STORED_COUNT; i++)
        if ((from & BIT(i)) != 0)
            list = arena_printf(arena, "%s%s%s", list, list[0] != '\0' ? "," : "", name_of(i));
    return arena_printf(arena, "{%s}", list);
}

bool state_is_loading(const char *name)
{
    int index = index_of(name);

    return index >= 0 && (LOADING & BIT(index)) != 0;
}

static void print_states(FILE *out, const struct state *table, size_t count)
{
    fputs("| state | meaning | way out |\n|---|---|---|\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "| `%s` | %s | %s |\n", table[i].name, table[i].meaning, table[i].way_out);
    fputs("\n", out);
}

static void print_end(FILE *out, int index)
{
    if (index == NOT_THERE)
        fputs("not there", out);
    else
        fprintf(out, "`%s`", name_of(index));
}

static void print_way(FILE *out, const struct way *way)
{
    const char *separator = "";

    fprintf(out, "| %s | %s | ", way->what, way->is_operators ? "operator" : "daemon");
    for (int i = 0; i <= STORED_COUNT; i++) {
        if ((way->from & BIT(i)) == 0)
            continue;
        fputs(separator, out);
        print_end(out, i);
        separator = ", ";
    }
    fputs(" | ", out);
    print_end(out, way->to);
    fputs(" |\n", out);
}

void state_print(FILE *out)
{
    print_states(out, stored_states, COUNT(stored_states));
    fputs("| event | by | from | to |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < COUNT(ways); i++)
        print_way(out, &ways[i]);
    fputs("\n", out);
    print_states(out, told_states, COUNT(told_states));
    print_states(out, connection_states, COUNT(connection_states));
}

static void add_states(json_t *list, const struct state *table, size_t count, bool is_stored)
{
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "name", table[i].name,
                                              "meaning", table[i].meaning, "way_out",
                                              table[i].way_out, "is_stored", (int)is_stored));
}

static json_t *way_json(const struct way *way)
{
    json_t *from = json_array();

    for (int i = 0; i <= STORED_COUNT; i++)
        if ((way->from & BIT(i)) != 0)
            json_array_append_new(from, json_string(name_of(i)));
    return json_pack("{s:s, s:s, s:o, s:s}", "event", way->what, "by",
                     way->is_operators ? "operator" : "daemon", "from", from, "to",
                     name_of(way->to));
}

json_t *state_json(void)
{
    json_t *states = json_array();
    json_t *list = json_array();

    add_states(states, stored_states, COUNT(stored_states), true);
    add_states(states, told_states, COUNT(told_states), false);
    for (size_t i = 0; i < COUNT(ways); i++)
        json_array_append_new(list, way_json(&ways[i]));
    return json_pack("{s:o, s:o}", "states", states, "ways", list);
}
