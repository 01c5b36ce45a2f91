#include "cli/tail_command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "change/decode.h"
#include "cli/tail_options.h"
#include "tail/tail.h"

enum { CHUNK_BYTES = 64 * 1024 };

/* What is watched are the users' tables. Our own bookkeeping is for those who ask by --table. */
static bool leave_out_bookkeeping(struct filter *filter, const char *schema_name, struct error *err)
{
    char log_tables[80];

    if (filter->tables.count > 0)
        return true;
    snprintf(log_tables, sizeof(log_tables), "%s._*", schema_name);
    return filter_add_tables(&filter->excluded_tables, "pgforce.*", err) &&
           filter_add_tables(&filter->excluded_tables, log_tables, err);
}

bool tail_command_run(const struct config *config, int argc, char **argv, struct error *err)
{
    struct tail_arguments arguments;
    bool is_ok = tail_options_read(&arguments, argc, argv, err);

    if (arguments.options.url == NULL)
        arguments.options.url = config->database_url;
    arguments.options.schema_name = config->schema_name;
    if (is_ok && arguments.is_help_wanted)
        tail_options_print_help(stdout);
    else if (is_ok)
        is_ok = leave_out_bookkeeping(&arguments.options.filter, config->schema_name, err) &&
                tail_options_open_output(&arguments, err) && tail_run(&arguments.options, err);
    tail_options_done(&arguments);
    return is_ok;
}

struct decode_arguments {
    const char *path;
    const struct format *format;
    bool is_masked; /* what differs from run to run is hidden: for tests */
};

static bool read_decode(struct decode_arguments *arguments, int argc, char **argv,
                        struct error *err)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'F'}, {"mask", no_argument, NULL, 'm'}, {0}};
    int value;

    *arguments = (struct decode_arguments){.format = format_find("json")};
    opterr = 0;
    optind = 0;
    while ((value = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (value == 'm')
            arguments->is_masked = true;
        else if (value == 'F')
            arguments->format = format_find(optarg);
        else
            return error_set(err, ERROR_USAGE, "%s: there is --format FORMAT", argv[optind - 1]);
        if (arguments->format == NULL || arguments->format->is_binary)
            return error_set(err, ERROR_USAGE,
                             "\"%s\" is no format to decode to: there are text, json and debezium",
                             optarg);
    }
    if (optind + 1 != argc)
        return error_set(err, ERROR_USAGE, "decode takes one FILE; - is standard input");
    arguments->path = argv[optind];
    return true;
}

static bool print_events(struct change_reader *reader, struct sink *sink, struct error *err)
{
    struct event event;
    enum change_result result;

    while ((result = change_reader_next(reader, &event, err)) == CHANGE_EVENT)
        if (!sink->write(sink, &event, err))
            return false;
    return result == CHANGE_NEED;
}

static bool print_file(FILE *in, struct sink *sink, struct change_reader *reader, struct error *err)
{
    char chunk[CHUNK_BYTES];
    size_t size_bytes;

    while (!sink_stdout_is_over(sink) && (size_bytes = fread(chunk, 1, sizeof(chunk), in)) > 0)
        if (!change_reader_feed(reader, chunk, size_bytes, err) || !print_events(reader, sink, err))
            return false;
    if (ferror(in))
        return error_set(err, error_kind_of(errno), "cannot read the changes: %s", strerror(errno));
    if (change_reader_pending_bytes(reader) > 0 && !sink_stdout_is_over(sink))
        return error_set(err, ERROR_RECORD, "the file was cut inside its last event (%zu bytes)",
                         change_reader_pending_bytes(reader));
    return true;
}

static bool decode_to(const struct format *format, FILE *in, struct error *err)
{
    struct sink_stdout_options options = {.fd = STDOUT_FILENO, .format = format};
    struct change_reader *reader = change_reader_new();
    struct sink *sink = sink_stdout_new(&options);

    signal(SIGPIPE, SIG_IGN);
    bool is_ok = print_file(in, sink, reader, err);

    is_ok = sink_stdout_flush(sink, is_ok ? err : &(struct error){0}) && is_ok;
    sink_stdout_free(sink);
    change_reader_free(reader);
    return is_ok;
}

static bool decode_masked(FILE *in, struct error *err)
{
    static const struct change_json_options options = {
        .with_transactions = true, .with_relations = true, .mask = true};

    return decode_file(in, stdout, &options, err);
}

bool tail_command_decode(int argc, char **argv, struct error *err)
{
    struct decode_arguments arguments;

    if (!read_decode(&arguments, argc, argv, err))
        return false;
    FILE *in = strcmp(arguments.path, "-") == 0 ? stdin : fopen(arguments.path, "re");
    if (in == NULL)
        return error_set(err, error_kind_of(errno), "cannot read %s: %s", arguments.path,
                         strerror(errno));
    bool is_ok =
        arguments.is_masked ? decode_masked(in, err) : decode_to(arguments.format, in, err);
    if (in != stdin)
        fclose(in);
    return is_ok;
}
