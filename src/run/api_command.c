#include "run/api_command.h"

#include <stdio.h>
#include <string.h>

#include "control/routes.h"
#include "control/tokens.h"

static bool create(struct pg *pg, const struct config *config, int count, char **texts,
                   struct error *err)
{
    char text[TOKENS_TEXT_BYTES];

    if (count < 1 || count > 2)
        return error_set(err, ERROR_USAGE,
                         "usage: pgforce token create NAME [viewer|operator|admin]");
    struct tokens_owner owner = {config->schema_name, texts[0], count == 2 ? texts[1] : "viewer"};
    if (!tokens_create(pg, &owner, text, err))
        return false;
    fprintf(stderr, "pgforce: the token is shown this once:\n");
    puts(text);
    return true;
}

static bool list(struct pg *pg, const struct config *config, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = tokens_list(pg, config->schema_name, err);

    if (result == NULL)
        return false;
    printf("%-24s %-10s %s\n", "name", "role", "created");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-24s %-10s %s\n", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
               PQgetvalue(result, i, 2));
    return true;
}

static bool run_verb(struct pg *pg, const struct config *config, int count, char **texts,
                     struct error *err)
{
    if (strcmp(texts[0], "create") == 0)
        return create(pg, config, count - 1, texts + 1, err);
    if (strcmp(texts[0], "list") == 0 && count == 1)
        return list(pg, config, err);
    if (strcmp(texts[0], "revoke") == 0 && count == 2)
        return tokens_revoke(pg, config->schema_name, texts[1], err);
    return error_set(err, ERROR_USAGE,
                     "usage: pgforce token create NAME [ROLE] | token list | token revoke NAME");
}

bool api_command_token(const struct config *config, int count, char **texts, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce token", err);
    bool is_ok = pg != NULL && run_verb(pg, config, count, texts, err);

    pg_close(pg);
    return is_ok;
}

void api_command_print_routes(bool is_json)
{
    if (is_json)
        routes_print_json(stdout);
    else
        routes_print_markdown(stdout);
}
