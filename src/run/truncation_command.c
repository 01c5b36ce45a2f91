#include "run/truncation_command.h"

#include <stdio.h>
#include <stdlib.h>

#include "archive/truncation.h"
#include "run/arguments.h"

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

static bool answer(struct pg *pg, const struct config *config, const char *text,
                   enum truncation_answer word, struct error *err)
{
    int64_t id;
    bool is_ok = read_id(text, &id, err) && pg_script(pg, "begin", err) &&
                 truncation_answer(pg, config->schema_name, id, word, err) &&
                 pg_script(pg, "commit", err);

    if (!is_ok)
        return false;
    puts(word == TRUNCATION_DELETE ? "the records are deleted in Salesforce too"
                                   : "the records stay in Salesforce");
    return true;
}

bool truncation_command_run(const struct config *config, int count, char **arguments,
                            struct error *err)
{
    struct arguments_read read;

    if (!arguments_read(count, arguments, "delete= dismiss=", &read, err))
        return false;
    const char *deleted = arguments_value(&read, "delete", 0);
    const char *dismissed = arguments_value(&read, "dismiss", 0);
    if (read.rest_count > 0 || read.option_count > 1)
        return error_set(err, ERROR_USAGE, "give one of --delete N and --dismiss N, or nothing");
    struct pg *pg = pg_open(config->database_url, "pgforce truncations", err);
    bool is_ok = pg != NULL;
    if (is_ok && deleted != NULL)
        is_ok = answer(pg, config, deleted, TRUNCATION_DELETE, err);
    else if (is_ok && dismissed != NULL)
        is_ok = answer(pg, config, dismissed, TRUNCATION_DISMISS, err);
    else if (is_ok)
        is_ok = truncation_command_print(pg, config, err);
    pg_close(pg);
    return is_ok;
}
