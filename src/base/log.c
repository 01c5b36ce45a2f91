#include "base/log.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LINE_BYTES = 16 * 1024 };

static const char *component_name = "pgforce";
static enum log_level lowest_level = LOG_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;

static const char *const level_names[] = {
    [LOG_DEBUG] = "DEBUG", [LOG_INFO] = "INFO", [LOG_WARNING] = "WARNING", [LOG_ERROR] = "ERROR"};

void log_init(const char *component, enum log_level lowest, enum log_format format)
{
    component_name = component;
    lowest_level = lowest;
    line_format = format;
}

/* JSON's escapes serve the quoted values of text lines too: no line break can forge a line. */
static void append_quoted(struct buf *line, const char *text)
{
    buf_char(line, '"');
    for (; *text != '\0'; text++) {
        unsigned char character = (unsigned char)*text;

        if (character == '"' || character == '\\')
            buf_printf(line, "\\%c", character);
        else if (character == '\n')
            buf_text(line, "\\n");
        else if (character < 0x20 || character == 0x7f)
            buf_printf(line, "\\u%04x", character);
        else
            buf_char(line, (char)character);
    }
    buf_char(line, '"');
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' || *text == 0x7f)
            return true;
    return false;
}

static void append_text_line(struct buf *line, enum log_level level, const char *verb,
                             const struct log_fact *facts)
{
    buf_printf(line, "%s %s %s: %s", clock_format_utc(clock_wall_us()).text, level_names[level],
               component_name, verb);
    for (; facts->key != NULL; facts++) {
        buf_printf(line, " %s=", facts->key);
        if (facts->text == NULL)
            buf_printf(line, "%" PRId64, facts->number);
        else if (needs_quotes(facts->text))
            append_quoted(line, facts->text);
        else
            buf_text(line, facts->text);
    }
}

static void append_json_line(struct buf *line, enum log_level level, const char *verb,
                             const struct log_fact *facts)
{
    buf_printf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"component\":\"%s\",\"msg\":",
               clock_format_utc(clock_wall_us()).text, level_names[level], component_name);
    append_quoted(line, verb);
    for (; facts->key != NULL; facts++) {
        buf_char(line, ',');
        append_quoted(line, facts->key);
        buf_char(line, ':');
        if (facts->text == NULL)
            buf_printf(line, "%" PRId64, facts->number);
        else
            append_quoted(line, facts->text);
    }
    buf_char(line, '}');
}

void log_write(enum log_level level, const char *verb, const struct log_fact *facts)
{
    struct buf line BUF_AUTO = {0};

    if (level < lowest_level)
        return;
    buf_init(&line, LINE_BYTES);
    if (line_format == LOG_FORMAT_JSON)
        append_json_line(&line, level, verb, facts);
    else
        append_text_line(&line, level, verb, facts);
    buf_char(&line, '\n');

    /* One write, so that lines of several roles sharing a descriptor never mix. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.size_bytes);
    (void)ignored;
}
