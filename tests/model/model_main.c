/*
 * model_sim --seed N --histories M [--profile uniform|hot] [--mutant NAME] [--verbose]
 *
 * Runs M histories with the seeds N, N+1, ... Stops at the first that breaks a promise, prints its
 * seed and how to replay it, and exits 1. With a mutant it is the other way round: exit 0 when one
 * history broke, 1 when the mutant survived them all.
 */
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mutant_names[MUTANT_COUNT] = {
    [MUTANT_NONE] = "none",
    [MUTANT_NO_ARCHIVE_DEDUPE] = "no-archive-dedupe",
    [MUTANT_CONFIRM_BEFORE_COMMIT] = "confirm-before-commit",
    [MUTANT_NO_ECHO_FILTER] = "no-echo-filter",
    [MUTANT_CREATE_BY_UPSERT] = "create-by-upsert",
    [MUTANT_DUPLICATE_AS_FAILURE] = "duplicate-as-failure",
    [MUTANT_DOUBT_AS_SUCCESS] = "doubt-as-success",
    [MUTANT_NO_PRECONDITION] = "no-precondition",
    [MUTANT_CURSOR_MAX_STRICT] = "cursor-max-strict",
    [MUTANT_MARK_BEFORE_ROWS] = "mark-before-rows",
    [MUTANT_NO_IN_FLIGHT] = "no-in-flight",
    [MUTANT_NO_BARRIER] = "no-barrier",
    [MUTANT_NO_TOMBSTONES] = "no-tombstones",
    [MUTANT_NO_STALE_CHECK] = "no-stale-check",
    [MUTANT_NO_CONFLICT_CHECK] = "no-conflict-check",
    [MUTANT_NO_KEY_MATCH] = "no-key-match",
    [MUTANT_FIXED_OVERLAP] = "fixed-overlap",
    [MUTANT_FIXED_LAG] = "fixed-lag",
    [MUTANT_MARK_PASSES_HELD] = "mark-passes-held",
    [MUTANT_NO_EXTERNAL_ID] = "no-external-id",
    [MUTANT_RETRY_DROPPED] = "retry-dropped",
    [MUTANT_NO_DOUBT_HOLD] = "no-doubt-hold",
    [MUTANT_HISTORY_NOT_STATE] = "history-not-state",
    [MUTANT_WHOLE_ROW] = "whole-row",
    [MUTANT_WHOLE_ROW_NO_CHECK] = "whole-row-no-check",
    [MUTANT_NO_REPAIR] = "no-repair",
    [MUTANT_STALE_READ_REVIVES] = "stale-read-revives",
    [MUTANT_NO_LATE_HOLD] = "no-late-hold",
};

/* splitmix64 */
static uint64_t next_random(struct sim *sim)
{
    uint64_t mixed = sim->random += UINT64_C(0x9E3779B97F4A7C15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

uint32_t sim_random(struct sim *sim, uint32_t below)
{
    return (uint32_t)(next_random(sim) % below);
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
    return sim_random(sim, 100) < percent;
}

token_t sim_new_value(struct sim *sim, enum side side, uint32_t owner, size_t field)
{
    if (sim->value_count + 1 >= MAX_VALUES)
        abort();
    sim->values[++sim->value_count] =
        (struct token_fate){.written_by = side, .owner = owner, .field = field};
    return sim->value_count;
}

void sim_violate(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (sim->violation[0] != 0)
        return;
    va_start(args, format);
    vsnprintf(sim->violation, sizeof(sim->violation), format, args);
    va_end(args);
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->is_verbose)
        return;
    printf("%9.3f ", (double)(sim->now_us % INT64_C(1000000000)) / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void sim_run(struct sim *sim, enum role role)
{
    static void (*const roles[ROLE_COUNT])(struct sim *) = {
        [ROLE_ARCHIVE] = engine_archive,
        [ROLE_PUSH] = engine_push,
        [ROLE_PULL] = engine_pull,
    };

    if (sim->is_running[role])
        return;
    sim->is_running[role] = true;
    roles[role](sim);
    sim->is_running[role] = false;
}

/* One thing happens somewhere. */
static void act(struct sim *sim)
{
    uint32_t luck = sim_random(sim, 100);

    sim->now_us += sim_random(sim, 1500) * INT64_C(1000);
    sf_run(sim);
    if (luck < 22)
        pg_user_acts(sim);
    else if (luck < 44)
        sf_user_acts(sim);
    else if (luck < 46)
        pg_server_crashes(sim);
    else
        sim_run(sim, sim_random(sim, ROLE_COUNT));
}

bool sim_pause(struct sim *sim, enum role role)
{
    if (sim->is_quiet)
        return true;
    while (sim_chance(sim, 35))
        act(sim);
    if (!sim_chance(sim, 4))
        return true;
    sim_trace(sim, "role %d is killed", (int)role);
    return false;
}

static void run_all_roles(struct sim *sim)
{
    sim->now_us += 5000000;
    sf_run(sim);
    pg_operator_retries(sim);
    for (enum role role = 0; role < ROLE_COUNT; role++)
        sim_run(sim, role);
}

/* No users, no faults: all must settle, and then nothing more may be written. */
static void quiesce(struct sim *sim)
{
    sim->is_quiet = true;
    for (int i = 0; i < 500 && !oracle_is_settled(sim); i++)
        run_all_roles(sim);
    for (int i = 0; i < 6 || (i < 500 && !oracle_is_settled(sim)); i++)
        run_all_roles(sim);

    uint32_t sf_writes = sim->sf_writes;
    uint32_t pg_writes = sim->pg_writes;
    for (int i = 0; i < 5; i++)
        run_all_roles(sim);
    if (sim->sf_writes != sf_writes || sim->pg_writes != pg_writes)
        sim_violate(sim, "writes go on with nobody writing: an echo");
    sim->is_quiet = false;
}

static void set_up(struct sim *sim, const struct options *options, uint64_t seed)
{
    struct arena *arena = sim->arena;

    memset(sim, 0, sizeof(*sim));
    sim->arena = arena;
    sim->random = seed * UINT64_C(0xD1342543DE82EF95) + 1;
    sim->is_hot = options->is_hot;
    sim->mutant = options->mutant;
    sim->is_verbose = options->is_verbose;
    sim->now_us = INT64_C(1795255230000000);
    sim->pg_clock_offset_us = (int64_t)sim_random(sim, 4000001) - 2000000;
    sim->has_trigger = sim_chance(sim, 30);
    sim->is_merged = sim_chance(sim, 30);
    sim->has_receipts = seed % 4 == 0;
    sim->rules = (struct merge_rules){
        .policy = (enum merge_policy)sim_random(sim, 3),
        .tie = sim_chance(sim, 50) ? MERGE_POSTGRES : MERGE_SALESFORCE,
        .clock_skew_us = 2000000,
    };
}

/* True if every promise held. */
static bool run_history(struct sim *sim, const struct options *options, uint64_t seed)
{
    set_up(sim, options, seed);
    for (int round = 0; round < 2 && sim->violation[0] == 0; round++) {
        sim->round_first_value = sim->value_count + 1;
        sim_trace(sim, "--- round %d", round);
        for (uint32_t steps = 10 + sim_random(sim, 40); steps > 0; steps--)
            act(sim);
        quiesce(sim);
        oracle_check(sim);
    }
    return sim->violation[0] == 0;
}

static int run_histories(struct sim *sim, const struct options *options)
{
    const char *profile = options->is_hot ? "hot" : "uniform";

    for (uint32_t i = 0; i < options->histories; i++) {
        uint64_t seed = options->seed + i;
        if (run_history(sim, options, seed))
            continue;
        printf("seed %" PRIu64 ": %s\n", seed, sim->violation);
        printf("replay: model_sim --seed %" PRIu64
               " --histories 1 --profile %s --mutant %s --verbose\n",
               seed, profile, mutant_names[options->mutant]);
        if (options->mutant == MUTANT_NONE)
            return 1;
        printf("mutant %s caught after %u histories\n", mutant_names[options->mutant], i + 1);
        return 0;
    }
    printf("%u histories, profile %s, mutant %s: no promise broken\n", options->histories, profile,
           mutant_names[options->mutant]);
    return options->mutant != MUTANT_NONE;
}

static bool parse_mutant(const char *text, enum mutant *mutant)
{
    for (size_t i = 0; i < MUTANT_COUNT; i++) {
        if (strcmp(text, mutant_names[i]) == 0) {
            *mutant = (enum mutant)i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;

    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0;
}

static bool parse_option(const char *name, const char *value, struct options *options)
{
    uint64_t number = 0;

    if (strcmp(name, "--seed") == 0)
        return parse_number(value, &options->seed);
    if (strcmp(name, "--histories") == 0) {
        bool is_number = parse_number(value, &number) && number <= UINT32_MAX;
        options->histories = (uint32_t)number;
        return is_number;
    }
    if (strcmp(name, "--profile") == 0) {
        options->is_hot = strcmp(value, "hot") == 0;
        return options->is_hot || strcmp(value, "uniform") == 0;
    }
    return strcmp(name, "--mutant") == 0 && parse_mutant(value, &options->mutant);
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options->is_verbose = true;
            continue;
        }
        if (i + 1 == argc || !parse_option(argv[i], argv[i + 1], options))
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .histories = 1000};

    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr, "usage: model_sim --seed N --histories M [--profile uniform|hot]"
                        " [--mutant NAME] [--verbose]\n");
        return 2;
    }
    struct sim *sim = memory_alloc(sizeof(*sim));
    sim->arena = arena_new();
    int status = run_histories(sim, &options);
    arena_free(sim->arena);
    free(sim);
    return status;
}
