#include "mapping/state.h"

#include <string.h>

enum {
    INITIAL,
    SCHEMA_CHANGED,
    RELOAD_TABLE,
    WAIT_BULK_LOAD,
    LOADING_BULK_JOB,
    RESYNC,
    DATA_SYNCED,
    POLLING_SF_CHANGES,
    POLLING_SF_FOR_DELETES,
    WAIT_BULK_UPDATE,
    POLLING_SF_BULK,
    ABORTED,
    SYSTEM_ERROR,
    STATE_COUNT,
    DELETED = STATE_COUNT, /* not a state: the mapping is gone */
};

static const struct state states[] = {
    [INITIAL] = {"INITIAL", "made, waits for its first load",
                 "the pull role loads it; `pgforce mapping abort`"},
    [SCHEMA_CHANGED] = {"SCHEMA_CHANGED", "its table is being altered",
                        "ends by itself, after a bounded wait for locks; if its command was killed:"
                        " the same command again"},
    [RELOAD_TABLE] = {"RELOAD_TABLE", "all records are being read, or will be next",
                      "ends by itself; `pgforce mapping abort`"},
    [WAIT_BULK_LOAD] = {"WAIT_BULK_LOAD", "a Bulk job for the load is queued in the organisation",
                        "ends by itself; `pgforce mapping abort`"},
    [LOADING_BULK_JOB] = {"LOADING_BULK_JOB", "a Bulk job's results are being stored",
                          "ends by itself; `pgforce mapping abort`"},
    [RESYNC] = {"RESYNC", "new columns are being filled; polls go on",
                "ends by itself; `pgforce mapping abort`"},
    [DATA_SYNCED] = {"DATA_SYNCED", "everything has been read", "none needed"},
    [POLLING_SF_CHANGES] = {"POLLING_SF_CHANGES", "asking for what changed", "ends by itself"},
    [POLLING_SF_FOR_DELETES] = {"POLLING_SF_FOR_DELETES", "asking for what was deleted",
                                "ends by itself"},
    [WAIT_BULK_UPDATE] = {"WAIT_BULK_UPDATE", "a Bulk job for a poll is queued", "ends by itself"},
    [POLLING_SF_BULK] = {"POLLING_SF_BULK", "a poll reads by Bulk", "ends by itself"},
    [ABORTED] = {"ABORTED", "an operator stopped what was running; nothing is read any more",
                 "`pgforce resume OBJECT` goes on where it was; `pgforce mapping reload`, `edit` or"
                 " `delete`"},
    [SYSTEM_ERROR] = {"SYSTEM_ERROR", "it cannot be read; the description says why",
                      "mend the reason: it is tried again by itself, at once after"
                      " `pgforce resume`"},
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

#define BIT(state) (1u << (state))
#define LOADING    (BIT(RELOAD_TABLE) | BIT(WAIT_BULK_LOAD) | BIT(LOADING_BULK_JOB) | BIT(RESYNC))
#define POLLING                                                                                    \
    (BIT(POLLING_SF_CHANGES) | BIT(POLLING_SF_FOR_DELETES) | BIT(WAIT_BULK_UPDATE) |               \
     BIT(POLLING_SF_BULK))
#define SYNCED      (BIT(DATA_SYNCED) | POLLING)
#define STOPPED     (BIT(ABORTED) | BIT(SYSTEM_ERROR))
#define ALTERED     BIT(SCHEMA_CHANGED)
#define NOT_ABORTED (BIT(INITIAL) | ALTERED | LOADING | SYNCED | BIT(SYSTEM_ERROR))

/* Several states may become the same one by the same event. */
struct way {
    const char *event;
    enum state_actor actor;
    unsigned from;
    int to;
};

static const struct way ways[] = {
    {"a load begins or goes on", STATE_BY_DAEMON,
     BIT(INITIAL) | ALTERED | LOADING | BIT(DATA_SYNCED) | BIT(SYSTEM_ERROR), RELOAD_TABLE},
    {"a load goes by Bulk", STATE_BY_DAEMON, BIT(INITIAL) | LOADING | BIT(SYSTEM_ERROR),
     WAIT_BULK_LOAD},
    {"the Bulk job is done", STATE_BY_DAEMON, LOADING | BIT(SYSTEM_ERROR), LOADING_BULK_JOB},
    {"new columns need values", STATE_BY_DAEMON, ALTERED | LOADING | SYNCED | BIT(SYSTEM_ERROR),
     RESYNC},
    {"everything has been read", STATE_BY_DAEMON, ALTERED | LOADING | SYNCED | BIT(SYSTEM_ERROR),
     DATA_SYNCED},
    {"a poll is due", STATE_BY_DAEMON, SYNCED | BIT(SYSTEM_ERROR), POLLING_SF_CHANGES},
    {"deletions are due", STATE_BY_DAEMON, SYNCED | BIT(SYSTEM_ERROR), POLLING_SF_FOR_DELETES},
    {"a poll goes by Bulk", STATE_BY_DAEMON, SYNCED | BIT(SYSTEM_ERROR), WAIT_BULK_UPDATE},
    {"its Bulk job is done", STATE_BY_DAEMON, SYNCED | BIT(SYSTEM_ERROR), POLLING_SF_BULK},
    {"a column must grow", STATE_BY_DAEMON, ALTERED | LOADING | SYNCED, SCHEMA_CHANGED},
    {"it cannot be read", STATE_BY_DAEMON, NOT_ABORTED, SYSTEM_ERROR},
    {"the object appeared", STATE_BY_DAEMON, BIT(SYSTEM_ERROR), INITIAL},
    {"edit, import, refresh", STATE_BY_OPERATOR, SYNCED | STOPPED | ALTERED | BIT(RESYNC),
     SCHEMA_CHANGED},
    {"edit added columns", STATE_BY_OPERATOR, ALTERED | SYNCED | STOPPED | BIT(RESYNC), RESYNC},
    {"edit is done", STATE_BY_OPERATOR, ALTERED | SYNCED | STOPPED, DATA_SYNCED},
    {"reload", STATE_BY_OPERATOR, ALTERED | SYNCED | STOPPED | BIT(INITIAL), RELOAD_TABLE},
    {"abort", STATE_BY_OPERATOR, NOT_ABORTED, ABORTED},
    {"resume, not loaded yet", STATE_BY_OPERATOR, STOPPED, INITIAL},
    {"resume, loaded before", STATE_BY_OPERATOR, STOPPED, DATA_SYNCED},
    {"resume, new columns lack values", STATE_BY_OPERATOR, STOPPED, RESYNC},
    {"the object is missing at an import", STATE_BY_OPERATOR, NOT_ABORTED | BIT(ABORTED),
     SYSTEM_ERROR},
    {"delete", STATE_BY_OPERATOR, BIT(INITIAL) | ALTERED | SYNCED | STOPPED, DELETED},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int index_of(const char *name)
{
    for (int i = 0; i < STATE_COUNT; i++)
        if (strcmp(states[i].name, name) == 0)
            return i;
    return name[0] == '\0' ? DELETED : -1;
}

const struct state *state_find(const char *name)
{
    int index = index_of(name);

    return index >= 0 && index < STATE_COUNT ? &states[index] : NULL;
}

const struct state *state_find_connection(const char *name)
{
    for (size_t i = 0; i < COUNT(connection_states); i++)
        if (strcmp(connection_states[i].name, name) == 0)
            return &connection_states[i];
    return NULL;
}

const struct state *state_at(size_t i)
{
    return i < STATE_COUNT ? &states[i] : NULL;
}

static unsigned sources(int to, enum state_actor actor)
{
    unsigned from = 0;

    for (size_t i = 0; i < COUNT(ways); i++)
        if (ways[i].to == to && ways[i].actor == actor)
            from |= ways[i].from;
    return from;
}

bool state_may_change(const char *from, const char *to, enum state_actor actor)
{
    int index = index_of(from);

    return index >= 0 && index < STATE_COUNT && (sources(index_of(to), actor) & BIT(index)) != 0;
}

const char *state_sources(const char *to, enum state_actor actor, struct arena *arena)
{
    unsigned from = sources(index_of(to), actor);
    const char *list = "";

    for (int i = 0; i < STATE_COUNT; i++)
        if ((from & BIT(i)) != 0)
            list = arena_printf(arena, "%s%s%s", list, list[0] != '\0' ? "," : "", states[i].name);
    return arena_printf(arena, "{%s}", list);
}

bool state_is_loading(const char *name)
{
    int index = index_of(name);

    return index >= 0 && index < STATE_COUNT && (LOADING & BIT(index)) != 0;
}

static void print_states(FILE *out, const struct state *table, size_t count)
{
    fputs("| state | meaning | way out |\n|---|---|---|\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "| `%s` | %s | %s |\n", table[i].name, table[i].meaning, table[i].way_out);
}

static void print_way(FILE *out, const struct way *way)
{
    const char *separator = "";

    fprintf(out, "| %s | %s | ", way->event,
            way->actor == STATE_BY_OPERATOR ? "operator" : "daemon");
    for (int i = 0; i < STATE_COUNT; i++) {
        if ((way->from & BIT(i)) == 0)
            continue;
        fprintf(out, "%s`%s`", separator, states[i].name);
        separator = ", ";
    }
    fprintf(out, " | %s%s%s |\n", way->to != DELETED ? "`" : "",
            way->to != DELETED ? states[way->to].name : "gone", way->to != DELETED ? "`" : "");
}

void state_print(FILE *out)
{
    print_states(out, states, COUNT(states));
    fputs("\n| event | by | from | to |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < COUNT(ways); i++)
        print_way(out, &ways[i]);
    fputs("\n", out);
    print_states(out, connection_states, COUNT(connection_states));
}
