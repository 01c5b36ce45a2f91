#include "cli/tail_options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lsn.h"

struct tail_row {
    struct option option; /* getopt's: name, whether it has an argument, -, its letter or number */
    bool (*take)(struct tail_arguments *arguments, const char *text, struct error *err);
    const char *argument;
    const char *help;
};

static bool take_url(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)err;
    arguments->options.url = text;
    return true;
}

/* Source: PostgreSQL documentation, "Replication Slots": what a slot's name may consist of. */
static bool take_slot(struct tail_arguments *arguments, const char *text, struct error *err)
{
    size_t length = strlen(text);

    if (length == 0 || length > 63 ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != length)
        return error_set(err, ERROR_USAGE,
                         "\"%s\" is no name of a slot: lower-case letters, digits and _, at most"
                         " 63",
                         text);
    arguments->options.slot_name = text;
    return true;
}

static bool take_path(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)err;
    arguments->path = text;
    return true;
}

static bool read_lsn(const char *text, lsn_t *lsn, struct error *err)
{
    return (lsn_parse(text, lsn) && *lsn != 0) ||
           error_set(err, ERROR_USAGE, "\"%s\" is no position: one looks like 16/B374D848", text);
}

static bool take_start(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return read_lsn(text, &arguments->options.output.start_lsn, err);
}

static bool take_end(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return read_lsn(text, &arguments->options.output.end_lsn, err);
}

static bool take_no_loop(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.gives_up = true;
    return true;
}

static bool take_create_slot(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.creates_slot = true;
    return true;
}

static bool take_if_not_exists(struct tail_arguments *arguments, const char *text,
                               struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.accepts_slot = true;
    return true;
}

static bool take_drop_slot(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.drops_slot = true;
    return true;
}

static bool take_follow(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.follows = true;
    return true;
}

static bool take_format(struct tail_arguments *arguments, const char *text, struct error *err)
{
    arguments->options.output.format = format_find(text);
    return arguments->options.output.format != NULL ||
           error_set(err, ERROR_USAGE,
                     "there is no format \"%s\": there are text, json, protobuf and debezium",
                     text);
}

static bool take_table(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return filter_add_tables(&arguments->options.filter.tables, text, err);
}

static bool take_exclude(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return filter_add_tables(&arguments->options.filter.excluded_tables, text, err);
}

static bool take_op(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return filter_add_ops(&arguments->options.filter, text, err);
}

static bool take_origin(struct tail_arguments *arguments, const char *text, struct error *err)
{
    return filter_add_origins(&arguments->options.filter.origins, text, err);
}

static bool take_exclude_origin(struct tail_arguments *arguments, const char *text,
                                struct error *err)
{
    return filter_add_origins(&arguments->options.filter.excluded_origins, text, err);
}

static bool take_since(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)err;
    arguments->options.since = text;
    return true;
}

static bool take_until(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)err;
    arguments->options.until = text;
    return true;
}

static bool take_redact(struct tail_arguments *arguments, const char *text, struct error *err)
{
    if (text[0] == '\0')
        return error_set(err, ERROR_USAGE, "--redact needs the name of a column");
    redaction_add(arguments->options.output.redaction, text);
    return true;
}

static bool take_transactions(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.output.print.with_transactions = true;
    return true;
}

static bool take_stats(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->options.output.with_stats = true;
    return true;
}

static bool take_help(struct tail_arguments *arguments, const char *text, struct error *err)
{
    (void)text;
    (void)err;
    arguments->is_help_wanted = true;
    return true;
}

enum { NO_LETTER = 256, HELP = 512 };

#define WITH required_argument
#define BARE no_argument

static const struct tail_row rows[] = {
    {{"dbname", WITH, 0, 'd'}, take_url, "DBNAME", "database, or a connection string"},
    {{"format", WITH, 0, NO_LETTER}, take_format, "FORMAT", "text, json, protobuf or debezium"},
    {{"file", WITH, 0, 'f'}, take_path, "FILE", "append to FILE; - is standard output"},
    {{"table", WITH, 0, NO_LETTER + 1},
     take_table,
     "PATTERN",
     "only tables like this: schema.table, with *"},
    {{"exclude", WITH, 0, NO_LETTER + 2}, take_exclude, "PATTERN", "not tables like this"},
    {{"op", WITH, 0, NO_LETTER + 3},
     take_op,
     "OP",
     "only insert, update, delete, truncate, message"},
    {{"origin", WITH, 0, NO_LETTER + 4},
     take_origin,
     "NAME",
     "only from this origin; none: written here"},
    {{"exclude-origin", WITH, 0, NO_LETTER + 5},
     take_exclude_origin,
     "NAME",
     "not from this origin"},
    {{"redact", WITH, 0, NO_LETTER + 6}, take_redact, "COLUMN", "hide the values of a column"},
    {{"transactions", BARE, 0, NO_LETTER + 7}, take_transactions, "", "print begin and commit too"},
    {{"stats", BARE, 0, NO_LETTER + 8}, take_stats, "", "log changes per second and lag"},
    {{"since", WITH, 0, NO_LETTER + 9},
     take_since,
     "WHEN",
     "begin with the log: an LSN, a time, -10min"},
    {{"until", WITH, 0, NO_LETTER + 10}, take_until, "WHEN", "end of what is read from the log"},
    {{"follow", BARE, 0, NO_LETTER + 11},
     take_follow,
     "",
     "go on: after the log, or with a new slot"},
    {{"slot", WITH, 0, 'S'}, take_slot, "NAME", "a slot that is kept, instead of a temporary one"},
    {{"create-slot", BARE, 0, NO_LETTER + 12}, take_create_slot, "", "make it first"},
    {{"if-not-exists", BARE, 0, NO_LETTER + 13}, take_if_not_exists, "", "... unless it is there"},
    {{"drop-slot", BARE, 0, NO_LETTER + 14}, take_drop_slot, "", "drop it, and do no more"},
    {{"startpos", WITH, 0, 'I'}, take_start, "LSN", "begin with what commits at or after LSN"},
    {{"endpos", WITH, 0, 'E'}, take_end, "LSN", "end with what commits before LSN"},
    {{"no-loop", BARE, 0, 'n'}, take_no_loop, "", "do not connect again"},
    {{"help", BARE, 0, HELP}, take_help, "", "show this"},
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static const struct tail_row *find_row(int value)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].option.val == value)
            return &rows[i];
    return NULL;
}

static bool check_slot(const struct tail_options *options, struct error *err)
{
    if (options->slot_name == NULL &&
        (options->creates_slot || options->accepts_slot || options->drops_slot))
        return error_set(err, ERROR_USAGE,
                         "--create-slot, --if-not-exists and --drop-slot need -S");
    if (options->accepts_slot && !options->creates_slot)
        return error_set(err, ERROR_USAGE, "--if-not-exists needs --create-slot");
    if (options->drops_slot && options->creates_slot)
        return error_set(err, ERROR_USAGE, "--create-slot and --drop-slot exclude each other");
    if (options->follows && options->gives_up)
        return error_set(err, ERROR_USAGE, "--follow and --no-loop exclude each other");
    return true;
}

static bool check_log(const struct tail_arguments *arguments, struct error *err)
{
    const struct tail_options *options = &arguments->options;

    if (options->since == NULL && options->until == NULL)
        return true;
    if (options->slot_name != NULL)
        return error_set(
            err, ERROR_USAGE,
            "--since and --until read the log: a kept slot (-S) has its own beginning");
    if (options->output.start_lsn != 0 || options->output.end_lsn != 0)
        return error_set(err, ERROR_USAGE,
                         "--since and --until are for the log, -I and -E for the stream");
    if (options->until != NULL && options->follows)
        return error_set(err, ERROR_USAGE, "--until and --follow exclude each other");
    if ((options->filter.ops & (FILTER_TRUNCATE | FILTER_MESSAGE)) != 0)
        return error_set(err, ERROR_USAGE,
                         "the log that --since and --until read holds rows only: insert, update,"
                         " delete");
    return true;
}

static bool take_all(struct tail_arguments *arguments, int argc, char **argv, struct error *err)
{
    struct option options[ROW_COUNT + 1] = {0};
    int value;

    for (size_t i = 0; i < ROW_COUNT; i++)
        options[i] = rows[i].option;
    opterr = 0;
    optind = 0;
    while ((value = getopt_long(argc, argv, ":d:f:S:I:E:n", options, NULL)) != -1) {
        bool is_unknown_letter = value == '?' && optopt > 0 && optopt < NO_LETTER;

        if (value == ':')
            return error_set(err, ERROR_USAGE, "%s needs an argument", argv[optind - 1]);
        if (is_unknown_letter && optopt != '?')
            return error_set(err, ERROR_USAGE, "there is no option -%c (`pgforce tail --help`)",
                             optopt);
        if (value == '?' && !is_unknown_letter)
            return error_set(err, ERROR_USAGE,
                             "%s is no option, or not used as it must be (`pgforce tail --help`)",
                             argv[optind - 1]);
        if (!find_row(is_unknown_letter ? HELP : value)->take(arguments, optarg, err))
            return false;
    }
    return optind == argc ||
           error_set(err, ERROR_USAGE, "%s: tail takes options only", argv[optind]);
}

bool tail_options_read(struct tail_arguments *arguments, int argc, char **argv, struct error *err)
{
    struct sink_stdout_options *output = &arguments->options.output;

    *arguments = (struct tail_arguments){.path = "-"};
    output->fd = -1;
    output->format = format_at(0);
    output->redaction = redaction_new();
    return take_all(arguments, argc, argv, err) && check_slot(&arguments->options, err) &&
           check_log(arguments, err);
}

void tail_options_done(struct tail_arguments *arguments)
{
    filter_done(&arguments->options.filter);
    redaction_free(arguments->options.output.redaction);
    if (arguments->options.output.fd > STDERR_FILENO)
        close(arguments->options.output.fd);
}

/* https://no-color.org: any value that is not empty. */
static bool wants_colour(int fd)
{
    const char *refusal = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(fd) && (refusal == NULL || refusal[0] == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

bool tail_options_open_output(struct tail_arguments *arguments, struct error *err)
{
    struct sink_stdout_options *output = &arguments->options.output;
    bool is_standard = strcmp(arguments->path, "-") == 0;

    output->fd = is_standard ? STDOUT_FILENO
                             : open(arguments->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                                    S_IRUSR | S_IWUSR);
    if (output->fd < 0)
        return error_set(err, error_kind_of(errno), "cannot open %s: %s", arguments->path,
                         strerror(errno));
    if (output->format->is_binary && isatty(output->fd))
        return error_set(err, ERROR_USAGE,
                         "the format %s is not for a terminal: use -f FILE or a pipe",
                         output->format->name);
    output->print.with_colour = wants_colour(output->fd);
    return true;
}

void tail_options_print_help(FILE *out)
{
    fputs("usage: pgforce tail [OPTION]...\n\n"
          "Prints the changes of a database as they are committed.\n\n",
          out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        int letter = rows[i].option.val;
        char name[64];

        snprintf(name, sizeof(name), "--%s %s", rows[i].option.name, rows[i].argument);
        fprintf(out, "  %c%c%c --%-24s %s\n", letter < NO_LETTER ? '-' : ' ',
                letter < NO_LETTER ? letter : ' ', letter < NO_LETTER ? ',' : ' ', name + 2,
                rows[i].help);
    }
    fputs("\nWithout -d, PGFORCE_DATABASE_URL, then libpq's own PGHOST, PGDATABASE, PGSERVICE,"
          " ...\n",
          out);
}
