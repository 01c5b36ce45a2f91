/*
 * pgforce: the command table.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/libraries.h"
#include "base/log.h"
#include "base/wait.h"
#include "cli/adopt_command.h"
#include "cli/api_command.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/configure_command.h"
#include "cli/doctor_command.h"
#include "cli/failure_commands.h"
#include "cli/help.h"
#include "cli/login_command.h"
#include "cli/mapping_command.h"
#include "cli/recover_command.h"
#include "cli/relink_command.h"
#include "cli/repair_command.h"
#include "cli/tail_command.h"
#include "cli/truncation_command.h"
#include "cli/version_command.h"
#include "run/config.h"
#include "run/exit_code.h"
#include "run/roles.h"
#include "run/setup.h"

struct arguments {
    int count;
    char **texts;
};

enum { ANY_NUMBER = 1 << 20 }; /* the command counts for itself */

enum needs {
    NEEDS_NOTHING, /* it prints what the program is, whatever the environment says */
    NEEDS_CONFIGURATION,
    NEEDS_DATABASE,
};

struct command {
    const char *name;
    const char *usage; /* what comes after the name */
    const char *help;
    bool (*run)(const struct config *config, const struct arguments *arguments, struct error *err);
    int least_arguments;
    int most_arguments;
    enum needs needs;
    bool is_role; /* logs under its name, stops on SIGTERM */
};

static bool has_flag(const struct arguments *arguments, const char *flag)
{
    for (int i = 0; i < arguments->count; i++)
        if (strcmp(arguments->texts[i], flag) == 0)
            return true;
    return false;
}

/* Of a command that has one flag, and nothing else. */
static bool read_flag(const struct arguments *arguments, const char *flag, bool *is_set,
                      struct error *err)
{
    struct arguments_read read;

    if (!arguments_read_options(arguments->count, arguments->texts, flag, &read, err))
        return false;
    *is_set = arguments_has(&read, flag);
    return true;
}

static bool run_setup(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    struct arguments_read read;

    if (!arguments_read_options(arguments->count, arguments->texts,
                                "accept-gap print-sql print-superuser-sql json", &read, err))
        return false;
    if (arguments_has(&read, "print-superuser-sql"))
        return setup_print_superuser_sql(config, stdout, err);
    if (arguments_has(&read, "print-sql"))
        return setup_print_sql(config, stdout, err);
    struct setup_options options = {.accepts_gap = arguments_has(&read, "accept-gap")};
    if (!setup_run(config, &options, err))
        return false;
    if (arguments_has(&read, "json"))
        printf("{\"schema_name\": \"%s\", \"is_set_up\": true}\n", config->schema_name);
    else
        printf("schema %s is set up; next: pgforce import FILE, then pgforce run\n",
               config->schema_name);
    return true;
}

static bool run_login(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return login_command_login(config, arguments->count, arguments->texts, err);
}

static bool run_logout(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return login_command_logout(config, arguments->count, arguments->texts, err);
}

static bool run_relink(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return relink_command_run(config, arguments->count, arguments->texts, err);
}

static bool run_api_version(const struct config *config, const struct arguments *arguments,
                            struct error *err)
{
    return version_command_run(config, arguments->count, arguments->texts, err);
}

static bool run_import(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return configure_command_import(config, arguments->count, arguments->texts, err);
}

static bool run_export(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return configure_command_export(config, arguments->count, arguments->texts, err);
}

static bool run_apply(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return configure_command_apply(config, arguments->count, arguments->texts, err);
}

static bool run_objects(const struct config *config, const struct arguments *arguments,
                        struct error *err)
{
    return configure_command_objects(config, arguments->count, arguments->texts, err);
}

static bool run_fields(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return configure_command_fields(config, arguments->count, arguments->texts, err);
}

static bool run_adopt(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return adopt_command_run(config, arguments->count, arguments->texts, err);
}

/* What a command that succeeded ends with. */
static enum exit_code done_code = EXIT_CODE_DONE;

static bool run_plan(const struct config *config, const struct arguments *arguments,
                     struct error *err)
{
    bool has_changes;

    if (!configure_command_plan(config, arguments->count, arguments->texts, &has_changes, err))
        return false;
    done_code = has_changes ? EXIT_CODE_CHANGES : EXIT_CODE_DONE;
    return true;
}

/* A finding is no failure of the command: the report is its result. */
static bool run_doctor(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    bool has_errors;

    if (!doctor_command_run(config, arguments->count, arguments->texts, &has_errors, err))
        return false;
    done_code = has_errors ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
    return true;
}

static bool run_help_rules(const struct config *config, const struct arguments *arguments,
                           struct error *err)
{
    (void)config;
    (void)arguments;
    (void)err;
    doctor_command_print_rules();
    return true;
}

static bool run_recover(const struct config *config, const struct arguments *arguments,
                        struct error *err)
{
    bool has_plan;

    if (!recover_command_run(config, arguments->count, arguments->texts, &has_plan, err))
        return false;
    done_code = has_plan ? EXIT_CODE_CHANGES : EXIT_CODE_DONE;
    return true;
}

static bool run_repair(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    bool differs;

    if (!repair_command_run(config, arguments->count, arguments->texts, &differs, err))
        return false;
    done_code = differs ? EXIT_CODE_DIFFERS : EXIT_CODE_DONE;
    return true;
}

static bool run_mapping(const struct config *config, const struct arguments *arguments,
                        struct error *err)
{
    return mapping_command_run(config, arguments->count, arguments->texts, err);
}

static bool run_pause(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return mapping_command_pause(config, arguments->count, arguments->texts, err);
}

static bool run_resume(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return mapping_command_resume(config, arguments->count, arguments->texts, err);
}

static bool run_status(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    bool is_json;

    return read_flag(arguments, "json", &is_json, err) && commands_status(config, is_json, err);
}

static bool run_errors(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return failure_commands_errors(config, arguments->count, arguments->texts, err);
}

static bool run_conflicts(const struct config *config, const struct arguments *arguments,
                          struct error *err)
{
    return failure_commands_conflicts(config, arguments->count, arguments->texts, err);
}

static bool run_retry(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return failure_commands_retry(config, arguments->count, arguments->texts, err);
}

static bool run_ignore(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    return failure_commands_ignore(config, arguments->count, arguments->texts, err);
}

static bool run_truncations(const struct config *config, const struct arguments *arguments,
                            struct error *err)
{
    return truncation_command_run(config, arguments->count, arguments->texts, err);
}

/* getopt wants the command's name before its arguments. */
static bool run_tail(const struct config *config, const struct arguments *arguments,
                     struct error *err)
{
    return tail_command_run(config, arguments->count + 1, arguments->texts - 1, err);
}

static bool run_decode(const struct config *config, const struct arguments *arguments,
                       struct error *err)
{
    (void)config;
    return tail_command_decode(arguments->count + 1, arguments->texts - 1, err);
}

static bool run_all(const struct config *config, const struct arguments *arguments,
                    struct error *err)
{
    (void)arguments;
    return roles_run(config, err);
}

/* Roles take no arguments. */
#define RUN_ROLE(name)                                                                             \
    static bool run_##name(const struct config *config, const struct arguments *arguments,         \
                           struct error *err)                                                      \
    {                                                                                              \
        (void)arguments;                                                                           \
        return roles_##name(config, err);                                                          \
    }

RUN_ROLE(archive)
RUN_ROLE(push)
RUN_ROLE(pull)
RUN_ROLE(listen)
RUN_ROLE(housekeeper)
RUN_ROLE(watch)

static bool run_serve(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    struct config changed = *config;
    bool is_behind_proxy;

    if (!read_flag(arguments, "behind-proxy", &is_behind_proxy, err))
        return false;
    changed.api.is_behind_proxy |= is_behind_proxy;
    return roles_serve(&changed, err);
}

static bool run_token(const struct config *config, const struct arguments *arguments,
                      struct error *err)
{
    return api_command_token(config, arguments->count, arguments->texts, err);
}

static bool run_help_routes(const struct config *config, const struct arguments *arguments,
                            struct error *err)
{
    bool is_json;

    (void)config;
    if (!read_flag(arguments, "json", &is_json, err))
        return false;
    api_command_print_routes(is_json);
    return true;
}

static bool run_help_config(const struct config *config, const struct arguments *arguments,
                            struct error *err)
{
    (void)config;
    (void)arguments;
    (void)err;
    config_print_markdown(stdout);
    return true;
}

static bool run_help_exit_codes(const struct config *config, const struct arguments *arguments,
                                struct error *err)
{
    (void)config;
    (void)arguments;
    (void)err;
    exit_code_print_markdown(stdout);
    return true;
}

/* These look at the table they stand in. */
static bool run_help_man(const struct config *config, const struct arguments *arguments,
                         struct error *err);
static bool run_help_completion(const struct config *config, const struct arguments *arguments,
                                struct error *err);

static const struct command commands[] = {
    {"setup", "[--accept-gap | --print-sql | --print-superuser-sql] [--json]",
     "make the database ready", run_setup, 0, 2, NEEDS_DATABASE, false},
    {"login",
     "[--web [--port N] | --jwt [--key-file FILE] [--username USER] | --client-credentials]"
     " [--environment NAME | --domain NAME] [--client-id ID] [--relink] [--json]",
     "connect to an organisation, and keep what it takes", run_login, 0, 20, NEEDS_DATABASE, false},
    {"logout", "[--json]", "forget that, and revoke it at Salesforce", run_logout, 0, 1,
     NEEDS_DATABASE, false},
    {"relink", "[--yes] [--json]", "move to the organisation of a refreshed sandbox", run_relink, 0,
     2, NEEDS_DATABASE, false},
    {"api-version", "[NN.0 [--change]] [--json]",
     "the version of Salesforce's API that is spoken; what another would change", run_api_version,
     0, 3, NEEDS_DATABASE, false},
    {"import", "FILE [--exact] [--allow-missing] [--recreate-views] [--json]",
     "map what a Heroku Connect export maps", run_import, 1, 5, NEEDS_DATABASE, false},
    {"export", "[FILE] [--json]", "write what is mapped, as Heroku Connect would", run_export, 0, 2,
     NEEDS_DATABASE, false},
    {"plan", "FILE [--prune | --exact] [--recreate-views] [--json]",
     "say what apply would do; exit code 10 if anything", run_plan, 1, 6, NEEDS_DATABASE, false},
    {"apply", "FILE [--prune [--yes]] [--recreate-views] [--json]",
     "make the mappings what the file says", run_apply, 1, 6, NEEDS_DATABASE, false},
    {"adopt", "FILE [--yes] [--json]", "take over a schema that Heroku Connect has synced",
     run_adopt, 1, 3, NEEDS_DATABASE, false},
    {"objects", "[SEARCH] [--json]", "what the organisation has to be mapped", run_objects, 0, 2,
     NEEDS_DATABASE, false},
    {"fields", "OBJECT [--json]", "an object's fields, and the columns they would be", run_fields,
     1, 2, NEEDS_DATABASE, false},
    {"mapping", "VERB [OBJECT] [OPTION]...", "list, show, change, reload, delete mappings",
     run_mapping, 1, ANY_NUMBER, NEEDS_CONFIGURATION, false},
    {"recover", "[--yes] [--json]",
     "after a restore: what waits, compared with the organisation; exit code 10: not done yet",
     run_recover, 0, 2, NEEDS_DATABASE, false},
    {"repair", "OBJECT [--dry-run] [--json]",
     "compare all records with their rows and repair what differs", run_repair, 1, 3,
     NEEDS_DATABASE, false},
    {"pause", "[--json]", "read and send nothing; changes are still logged", run_pause, 0, 1,
     NEEDS_DATABASE, false},
    {"resume", "[OBJECT] [--json]", "go on; also with a mapping that failed or was aborted",
     run_resume, 0, 2, NEEDS_DATABASE, false},
    {"run", "", "run all roles under a supervisor", run_all, 0, 0, NEEDS_DATABASE, false},
    {"archive", "", "the role that writes _trigger_log", run_archive, 0, 0, NEEDS_DATABASE, true},
    {"push", "", "the role that sends _trigger_log to Salesforce", run_push, 0, 0, NEEDS_DATABASE,
     true},
    {"pull", "", "the role that reads Salesforce", run_pull, 0, 0, NEEDS_DATABASE, true},
    {"listen", "", "the role that hears of changes in Salesforce", run_listen, 0, 0, NEEDS_DATABASE,
     true},
    {"housekeeper", "", "the role that moves settled entries to the archive", run_housekeeper, 0, 0,
     NEEDS_DATABASE, true},
    {"watch", "", "the role that tells operators, and guards the server's disk", run_watch, 0, 0,
     NEEDS_DATABASE, true},
    {"serve", "[--behind-proxy]", "the role that serves the HTTP API and the dashboard", run_serve,
     0, 1, NEEDS_DATABASE, true},
    {"token", "create NAME [ROLE] | list | revoke NAME [--json]", "who may use the HTTP API",
     run_token, 1, 4, NEEDS_DATABASE, false},
    {"status", "[--json]", "what is mapped, what waits, how far it has come", run_status, 0, 1,
     NEEDS_DATABASE, false},
    {"doctor", "[MAPPING] [--json] [--offline]", "all that is wrong, and what mends it", run_doctor,
     0, 3, NEEDS_DATABASE, false},
    {"errors", "[MAPPING] [--json]", "what Salesforce refused, and why", run_errors, 0, 2,
     NEEDS_DATABASE, false},
    {"conflicts", "[MAPPING] [--json]", "fields changed on both sides, and the values that lost",
     run_conflicts, 0, 2, NEEDS_DATABASE, false},
    {"retry", "--id N|--mapping NAME|--all-failed [--json]", "try refused entries again", run_retry,
     1, 3, NEEDS_DATABASE, false},
    {"ignore", "--id N|--mapping NAME|--all-failed [--json]", "give refused entries up", run_ignore,
     1, 3, NEEDS_DATABASE, false},
    {"truncations", "[--delete N | --dismiss N] [--json]",
     "TRUNCATEs that wait for an operator's word", run_truncations, 0, 3, NEEDS_DATABASE, false},
    {"tail", "[OPTION]...", "print changes as they are committed (tail --help)", run_tail, 0,
     ANY_NUMBER, NEEDS_CONFIGURATION, false},
    {"decode", "FILE [--format FORMAT]", "print a file of changes as JSON", run_decode, 0,
     ANY_NUMBER, NEEDS_CONFIGURATION, false},
    {"route-table", "[--json]", "print the HTTP API's routes as a Markdown table", run_help_routes,
     0, 1, NEEDS_NOTHING, false},
    {"rule-table", "", "print the doctor's rules as a Markdown table", run_help_rules, 0, 0,
     NEEDS_NOTHING, false},
    {"config-table", "", "print the variables as a Markdown table", run_help_config, 0, 0,
     NEEDS_NOTHING, false},
    {"exit-code-table", "", "print the exit codes as a Markdown table", run_help_exit_codes, 0, 0,
     NEEDS_NOTHING, false},
    {"man-page", "", "print the manual page", run_help_man, 0, 0, NEEDS_NOTHING, false},
    {"bash-completion", "", "print completion for bash", run_help_completion, 0, 0, NEEDS_NOTHING,
     false},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static struct help_commands list_commands(void)
{
    static struct help_command list[COMMAND_COUNT];

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        list[i] = (struct help_command){commands[i].name, commands[i].usage, commands[i].help};
    return (struct help_commands){list, COMMAND_COUNT};
}

static bool run_help_man(const struct config *config, const struct arguments *arguments,
                         struct error *err)
{
    (void)config;
    (void)arguments;
    (void)err;
    help_print_man(stdout, list_commands(), mapping_command_verbs());
    return true;
}

static bool run_help_completion(const struct config *config, const struct arguments *arguments,
                                struct error *err)
{
    (void)config;
    (void)arguments;
    (void)err;
    help_print_completion(stdout, list_commands(), mapping_command_verbs());
    return true;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int fail(const struct command *command, const struct error *err)
{
    if (command->is_role)
        log_error("stopped", log_text("kind", error_kind_name(err->kind)),
                  log_text("reason", err->message));
    else
        fprintf(stderr, "pgforce: %s\n", err->message);
    return (int)exit_code_of(err);
}

static int run_command(const struct command *command, const struct arguments *arguments)
{
    struct config config = {0};
    struct error err = {0};

    if (command->needs != NEEDS_NOTHING && !config_load(&config, &err))
        return fail(command, &err);
    /* Nobody but root reads the memory of what holds secrets. */
    if (!config.allows_debugger)
        prctl(PR_SET_DUMPABLE, 0);
    log_init(command->name, config.log_level, config.log_format);
    if ((command->needs == NEEDS_DATABASE && !config_require_database(&config, &err)) ||
        (command->is_role && !wait_init(&err)) || !command->run(&config, arguments, &err))
        return fail(command, &err);
    return (int)done_code;
}

static bool asks_for(const char *argument, const char *short_form, const char *long_form)
{
    return strcmp(argument, short_form) == 0 || strcmp(argument, long_form) == 0;
}

/* `tail` has options of its own to tell of. */
static bool wants_help(const struct command *command, const struct arguments *arguments)
{
    return command->run != run_tail && (has_flag(arguments, "--help") || has_flag(arguments, "-?"));
}

static void print_command_help(const struct command *command)
{
    struct help_command help = {command->name, command->usage, command->help};

    help_print_one(stdout, &help,
                   command->run == run_mapping ? mapping_command_verbs()
                                               : (struct help_commands){0});
}

static int refuse_name(const char *name)
{
    help_print_unknown(stderr, name, list_commands());
    return EXIT_CODE_USAGE;
}

static int help(const struct arguments *arguments)
{
    const struct command *command = arguments->count > 0 ? find_command(arguments->texts[0]) : NULL;

    if (arguments->count == 0)
        help_print_all(stdout, list_commands());
    else if (command == NULL)
        return refuse_name(arguments->texts[0]);
    else
        print_command_help(command);
    return EXIT_CODE_DONE;
}

static int check_config(const struct arguments *arguments)
{
    struct error err = {0};
    bool is_json;

    if (read_flag(arguments, "json", &is_json, &err) && config_print_checked(stdout, is_json, &err))
        return EXIT_CODE_DONE;
    fprintf(stderr, "pgforce: %s\n", err.message);
    return (int)exit_code_of(&err);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find_command(name);
    struct arguments arguments = {argc - 2, argv + 2};

    libraries_init();
    if (asks_for(name, "-?", "--help"))
        arguments.count = 0;
    if (asks_for(name, "-?", "--help") || strcmp(name, "help") == 0)
        return help(&arguments);
    if (asks_for(name, "-V", "--version")) {
        puts("pgforce " PGFORCE_VERSION);
        return EXIT_CODE_DONE;
    }
    if (strcmp(name, "--check-config") == 0)
        return check_config(&arguments);
    if (command == NULL)
        return refuse_name(name);
    if (wants_help(command, &arguments)) {
        print_command_help(command);
        return EXIT_CODE_DONE;
    }
    if (arguments.count < command->least_arguments || arguments.count > command->most_arguments) {
        help_print_usage(stderr, command->name, command->usage);
        return EXIT_CODE_USAGE;
    }
    return run_command(command, &arguments);
}
