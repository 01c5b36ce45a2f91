#include "cli/truncation_command.h"

#include <stdio.h>
#include <stdlib.h>

#include "archive/truncation.h"
#include "cli/arguments.h"
#include "cli/org_call.h"

bool truncation_command_print(struct pg *pg, const struct config *config, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = truncation_list(pg, config->schema_name, err);

    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        printf("\n%-10s %-24s %-8s %-8s %10s  %s\n", "TRUNCATE", "table", "policy", "state",
               "records", "at (UTC)");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-10s %-24s %-8s %-8s %10s  %s\n", PQgetvalue(result, i, 0),
               PQgetvalue(result, i, 1), PQgetvalue(result, i, 2), PQgetvalue(result, i, 3),
               PQgetvalue(result, i, 4), PQgetvalue(result, i, 5));
    return true;
}

static bool read_id(const char *text, int64_t *id, struct error *err)
{
    char *end;

    *id = strtoll(text, &end, 10);
    return (*text != '\0' && *end == '\0' && *id > 0) ||
           error_set(err, ERROR_USAGE,
                     "\"%s\" is not the number of a TRUNCATE: `pgforce"
                     " truncations` lists them",
                     text);
}

static bool print_list_json(struct pg *pg, const struct config *config, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = truncation_list(pg, config->schema_name, err);

    if (result == NULL)
        return false;
    json_t *rows ORG_CALL_JSON_AUTO = org_call_rows_json(result);
    org_call_print_json(rows);
    return true;
}

static void report(int64_t id, enum truncation_answer word, bool is_json)
{
    if (is_json) {
        json_t *json ORG_CALL_JSON_AUTO =
            json_pack("{s:I, s:s}", "id", (json_int_t)id, "result",
                      word == TRUNCATION_DELETE ? "DELETED" : "DISMISSED");
        org_call_print_json(json);
        return;
    }
    puts(word == TRUNCATION_DELETE ? "the records are deleted in Salesforce too"
                                   : "the records stay in Salesforce");
}

static bool answer(struct pg *pg, const struct config *config, const struct arguments_read *read,
                   enum truncation_answer word, struct error *err)
{
    const char *text = arguments_value(read, word == TRUNCATION_DELETE ? "delete" : "dismiss", 0);
    int64_t id;
    bool is_ok = read_id(text, &id, err) && pg_script(pg, "begin", err) &&
                 truncation_answer(pg, config->schema_name, id, word, err) &&
                 pg_script(pg, "commit", err);

    if (is_ok)
        report(id, word, arguments_has(read, "json"));
    return is_ok;
}

static bool list(struct pg *pg, const struct config *config, bool is_json, struct error *err)
{
    return is_json ? print_list_json(pg, config, err) : truncation_command_print(pg, config, err);
}

bool truncation_command_run(const struct config *config, int count, char **arguments,
                            struct error *err)
{
    struct arguments_read read;

    if (!arguments_read(count, arguments, "delete= dismiss= json", &read, err))
        return false;
    bool deletes = arguments_has(&read, "delete");
    bool dismisses = arguments_has(&read, "dismiss");
    if (read.rest_count > 0 || (deletes && dismisses))
        return error_set(err, ERROR_USAGE, "give one of --delete N and --dismiss N, or nothing");
    struct pg *pg = pg_open(config->database_url, "pgforce truncations", err);
    bool is_ok = pg != NULL;
    if (is_ok && (deletes || dismisses))
        is_ok = answer(pg, config, &read, deletes ? TRUNCATION_DELETE : TRUNCATION_DISMISS, err);
    else if (is_ok)
        is_ok = list(pg, config, arguments_has(&read, "json"), err);
    pg_close(pg);
    return is_ok;
}
