#include "cli/help.h"

#include <string.h>

#include "run/config.h"
#include "run/exit_code.h"

enum { NAME_MAX_BYTES = 32, NEAR = 2 };

void help_print_all(FILE *out, struct help_commands commands)
{
    fputs("usage: pgforce COMMAND [ARGUMENTS]\n\ncommands:\n", out);
    for (size_t i = 0; i < commands.count; i++)
        fprintf(out, "  %-16s %s\n", commands.items[i].name, commands.items[i].help);
    fputs("\nvariables (any NAME can be NAME_FILE, the path of a file with the value):\n", out);
    config_print_help(out);
    fputs("\nexit codes:\n", out);
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
        fprintf(out, "  %-3d %s\n", exit_code_rows[i].code, exit_code_rows[i].meaning);
    fputs("\n`pgforce help COMMAND` says what one takes; pgforce --check-config shows what is"
          " configured.\n",
          out);
}

void help_print_usage(FILE *out, const char *name, const char *usage)
{
    fprintf(out, "usage: pgforce %s%s%s\n", name, usage[0] != '\0' ? " " : "", usage);
}

void help_print_one(FILE *out, const struct help_command *command, struct help_commands verbs)
{
    help_print_usage(out, command->name, command->usage);
    fprintf(out, "\n%s\n", command->help);
    if (verbs.count > 0)
        fputs("\nverbs:\n", out);
    for (size_t i = 0; i < verbs.count; i++)
        fprintf(out, "  %-10s %s\n             %s\n", verbs.items[i].name, verbs.items[i].usage,
                verbs.items[i].help);
}

/* ---- the manual page ---- */

/* A leading dot or quote would be a request, a hyphen a typographic one, a backslash an escape. */
static void write_roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            putc(*text, out);
    }
}

/* One item: the term in bold, what belongs to it, and what it means. */
static void write_item(FILE *out, const char *term, const char *rest, const char *meaning)
{
    fputs(".TP\n\\fB", out);
    write_roff(out, term);
    fputs("\\fR ", out);
    write_roff(out, rest);
    putc('\n', out);
    write_roff(out, meaning);
    putc('\n', out);
}

static void write_variable(void *context, const char *name, const char *default_text,
                           const char *help)
{
    FILE *out = context;

    write_item(out, name, "", help);
    if (default_text != NULL) {
        fputs("Default: ", out);
        write_roff(out, default_text);
        fputs(".\n", out);
    }
}

static void write_commands(FILE *out, struct help_commands commands, struct help_commands verbs)
{
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < commands.count; i++)
        write_item(out, commands.items[i].name, commands.items[i].usage, commands.items[i].help);
    fputs(".SS Verbs of mapping\n", out);
    for (size_t i = 0; i < verbs.count; i++)
        write_item(out, verbs.items[i].name, verbs.items[i].usage, verbs.items[i].help);
}

void help_print_man(FILE *out, struct help_commands commands, struct help_commands mapping_verbs)
{
    char code[16];

    fputs(".TH PGFORCE 1 \"\" \"pgforce " PGFORCE_VERSION "\" \"User Commands\"\n"
          ".SH NAME\npgforce \\- keeps a PostgreSQL schema and a Salesforce organisation equal\n"
          ".SH SYNOPSIS\n.B pgforce\n.I COMMAND\n.RI [ ARGUMENTS ]\n.br\n"
          ".B pgforce help\n.RI [ COMMAND ]\n.br\n.B pgforce \\-\\-check\\-config\n"
          ".RB [ \\-\\-json ]\n.br\n.B pgforce \\-\\-version\n"
          ".SH DESCRIPTION\nReads and writes the records of mapped Salesforce objects as rows of"
          " PostgreSQL, in both\ndirections, and records every change it carries. Everything is"
          " configured by environment\nvariables.\n"
          "Results go to standard output, everything else to standard error.\n",
          out);
    write_commands(out, commands, mapping_verbs);
    fputs(".SH ENVIRONMENT\nAny \\fINAME\\fR may be given as \\fINAME\\fR_FILE, the path of a file"
          " with the value, or as the file\n\\fINAME\\fR in $CREDENTIALS_DIRECTORY.\n",
          out);
    config_each(write_variable, out);
    write_item(out, "NO_COLOR", "", "When set, nothing is coloured. Elsewhere only terminals are.");
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++) {
        snprintf(code, sizeof(code), "%d", exit_code_rows[i].code);
        write_item(out, code, "", exit_code_rows[i].meaning);
    }
    fputs(".SH SEE ALSO\n.BR psql (1),\n.BR systemd.exec (5)\n", out);
}

/* ---- completion ---- */

/* The options a usage names, separated by blanks. */
static void write_options(FILE *out, const char *usage)
{
    for (const char *at = strstr(usage, "--"); at != NULL; at = strstr(at, "--")) {
        size_t length = 2 + strspn(at + 2, "abcdefghijklmnopqrstuvwxyz0123456789-");

        if (length > 2)
            fprintf(out, " %.*s", (int)length, at);
        at += length;
    }
}

static void write_cases(FILE *out, struct help_commands commands)
{
    for (size_t i = 0; i < commands.count; i++) {
        fprintf(out, "        %s) words=\"", commands.items[i].name);
        write_options(out, commands.items[i].usage);
        fputs(" --help\" ;;\n", out);
    }
}

static void write_names(FILE *out, struct help_commands commands)
{
    for (size_t i = 0; i < commands.count; i++)
        fprintf(out, "%s ", commands.items[i].name);
}

void help_print_completion(FILE *out, struct help_commands commands,
                           struct help_commands mapping_verbs)
{
    fputs("# bash completion for pgforce: `pgforce bash-completion` prints it\n"
          "_pgforce()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ] || { [ \"$COMP_CWORD\" -eq 2 ] &&"
          " [ \"${COMP_WORDS[1]}\" = help ]; }; then\n        words=\"",
          out);
    write_names(out, commands);
    fputs("help --help --version --check-config\"\n"
          "    elif [ \"${COMP_WORDS[1]}\" = mapping ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
          "        words=\"",
          out);
    write_names(out, mapping_verbs);
    fputs("\"\n    elif [ \"${COMP_WORDS[1]}\" = mapping ]; then\n"
          "        case ${COMP_WORDS[2]} in\n",
          out);
    write_cases(out, mapping_verbs);
    fputs("        esac\n    else\n        case ${COMP_WORDS[1]} in\n", out);
    write_cases(out, commands);
    fputs("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
          "complete -o default -F _pgforce pgforce\n",
          out);
}

/* ---- what was meant ---- */

/* How many letters have to be put in, left out, or changed (Levenshtein). */
static size_t distance(const char *left, const char *right)
{
    size_t costs[NAME_MAX_BYTES + 1];
    size_t width = strlen(right);

    for (size_t j = 0; j <= width; j++)
        costs[j] = j;
    for (size_t i = 0; left[i] != '\0'; i++) {
        size_t diagonal = costs[0];

        costs[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t change = diagonal + (left[i] != right[j]);
            size_t one_less = costs[j] < costs[j + 1] ? costs[j] : costs[j + 1];

            diagonal = costs[j + 1];
            costs[j + 1] = change < one_less + 1 ? change : one_less + 1;
        }
    }
    return costs[width];
}

const char *help_nearest(const char *name, struct help_commands commands)
{
    const char *nearest = NULL;
    size_t least = NEAR + 1;

    for (size_t i = 0; i < commands.count; i++) {
        const char *candidate = commands.items[i].name;
        size_t found = strlen(candidate) <= NAME_MAX_BYTES ? distance(name, candidate) : least;

        if (found < least && found < strlen(candidate)) {
            least = found;
            nearest = candidate;
        }
    }
    return nearest;
}

void help_print_unknown(FILE *out, const char *name, struct help_commands commands)
{
    const char *nearest = help_nearest(name, commands);

    if (name[0] == '\0')
        fputs("pgforce: a command is missing (`pgforce --help` lists them)\n", out);
    else
        fprintf(out, "pgforce: unknown command \"%s\"%s%s%s (`pgforce --help` lists them)\n", name,
                nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "\"?" : "");
}
