#include "sandbox/object_add.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wait.h"
#include "net/http_client.h"
#include "sandbox/org.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 64, MAX_URL_BYTES = 2000 };

static const char default_url[] = "http://127.0.0.1:8089";

/* ---- a field as text ---- */

/* The properties behind the type. */
static const struct {
    const char *word;
    const char *key;
    bool value;
} property_rows[] = {
    {"required", "nillable", false},
    {"unique", "unique", true},
    {"external-id", "externalId", true},
    {"case-sensitive", "caseSensitive", true},
    {"restricted", "restrictedPicklist", true},
    {"master", "cascadeDelete", true},
};

enum { PROPERTY_COUNT = sizeof(property_rows) / sizeof(property_rows[0]) };

static bool set_property(json_t *field, const char *word, struct error *err)
{
    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        if (strcmp(property_rows[i].word, word) == 0) {
            json_object_set_new(field, property_rows[i].key, json_boolean(property_rows[i].value));
            return true;
        }
    return error_set(err, ERROR_CONFIG,
                     "\"%s\" is no property of a field: required, unique, external-id, "
                     "case-sensitive, restricted or master",
                     word);
}

static json_t *split(char *text, const char *separator)
{
    json_t *list = json_array();
    char *rest = NULL;

    for (char *each = strtok_r(text, separator, &rest); each != NULL;
         each = strtok_r(NULL, separator, &rest))
        json_array_append_new(list, json_string(each));
    return list;
}

static bool is_type(const json_t *field, const char *part)
{
    return strstr(json_string_value(json_object_get(field, "type")), part) != NULL;
}

/* "Account__c" has the relationship Account__r. */
static void set_relationship(json_t *field)
{
    const char *name = json_string_value(json_object_get(field, "name"));
    size_t length = strlen(name);

    if (length > 3 && strcmp(name + length - 3, "__c") == 0)
        json_object_set_new(field, "relationshipName",
                            json_sprintf("%.*sr", (int)length - 1, name));
}

/* What stands in brackets: values, parents, or one or two sizes. */
static bool set_argument(json_t *field, char *text, struct error *err)
{
    char *end = NULL;

    if (is_type(field, "picklist")) {
        json_object_set_new(field, "picklistValues", split(text, "|"));
        return true;
    }
    if (is_type(field, "reference")) {
        json_object_set_new(field, "referenceTo", split(text, "|"));
        set_relationship(field);
        return true;
    }
    long size = strtol(text, &end, 10);
    bool has_scale = *end == ',';
    long scale = has_scale ? strtol(end + 1, &end, 10) : 0;
    if (*text == '\0' || *end != '\0' || size < 1 || size > 131072 || scale < 0 || scale > size)
        return error_set(err, ERROR_CONFIG, "\"(%s)\" is no size", text);
    json_object_set_new(field, has_scale ? "precision" : "length", json_integer(size));
    if (has_scale)
        json_object_set_new(field, "scale", json_integer(scale));
    return true;
}

/* text begins behind the colon, and is written in. */
static bool read_type(json_t *field, char *text, struct error *err)
{
    size_t length = strcspn(text, "(,");
    char *argument = text[length] == '(' ? text + length + 1 : NULL;
    char *close = argument != NULL ? strchr(argument, ')') : NULL;
    char *rest = argument != NULL ? close : text + length;

    if (length == 0 || rest == NULL || (close != NULL && close[1] != ',' && close[1] != '\0'))
        return error_set(err, ERROR_CONFIG, "write NAME:TYPE, NAME:TYPE(...) or with ,property");
    json_object_set_new(field, "type", json_stringn(text, length));
    rest += close != NULL;
    bool has_properties = *rest == ',';
    if (close != NULL)
        *close = '\0';
    if (argument != NULL && !set_argument(field, argument, err))
        return false;
    json_t *words = has_properties ? split(rest + 1, ",") : json_array();
    bool is_read = true;
    for (size_t i = 0; i < json_array_size(words) && is_read; i++)
        is_read = set_property(field, json_string_value(json_array_get(words, i)), err);
    json_decref(words);
    return is_read;
}

json_t *object_add_field(const char *text, struct error *err)
{
    const char *colon = strchr(text, ':');
    json_t *field = json_object();
    json_t *name = colon != NULL ? json_stringn(text, (size_t)(colon - text)) : NULL;

    if (name == NULL) {
        error_set(err, ERROR_CONFIG, "write NAME:TYPE");
        json_decref(field);
        return NULL;
    }
    json_object_set_new(field, "name", name);
    char *copy = memory_strdup(colon + 1);
    bool is_read = read_type(field, copy, err);
    free(copy);
    if (is_read)
        return field;
    json_decref(field);
    return NULL;
}

/* ---- where it goes ---- */

struct addition {
    const char *url;  /* of a sandbox that runs, or */
    const char *data; /* the file of one that does not */
    json_t *definition;
    bool is_file; /* the definition is a file's */
};

static bool add_to_file(const struct addition *addition, struct error *err)
{
    struct org_options options = {.data = addition->data,
                                  .username = "admin@sandbox.example",
                                  .password = "sandbox-password"};
    struct org *org = NULL;

    if (access(addition->data, R_OK | W_OK) != 0)
        return error_set(err, ERROR_CONFIG, "cannot open the data file %s", addition->data);
    bool is_added =
        org_open(&options, &org, err) && org_define(org, addition->definition, true, err);
    org_close(org);
    return is_added;
}

static bool check_answer(const struct http_exchange *exchange, const char *url, struct error *err)
{
    if (exchange->fate != HTTP_ANSWERED)
        return error_set(err, ERROR_CONFIG, "no sandbox answers at %s: %s", url, exchange->problem);
    if (exchange->status == 200)
        return true;
    json_t *body = json_loadb(exchange->received.data, exchange->received.size_bytes, 0, NULL);
    const char *text = json_string_value(json_object_get(body, "error"));
    error_set(err, ERROR_CONFIG, "%s", text != NULL ? text : "what answers is no sandbox");
    json_decref(body);
    return false;
}

static bool add_by_http(const struct addition *addition, struct error *err)
{
    const struct http_client_options options = {.is_plain_http_allowed = true};
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct buf url BUF_AUTO = {0};
    char *body = json_dumps(addition->definition, JSON_COMPACT);
    struct http_client *client = http_client_new(&options, err);

    buf_init(&url, MAX_URL_BYTES);
    buf_printf(&url, "%s/_sandbox/objects", addition->url);
    struct http_exchange exchange = {.method = "POST",
                                     .url = url.data,
                                     .headers = headers,
                                     .body = body,
                                     .body_bytes = strlen(body)};
    bool is_added = client != NULL && http_send(client, &exchange, 1, err) &&
                    check_answer(&exchange, addition->url, err);
    http_exchange_done(&exchange);
    http_client_free(client);
    free(body);
    return is_added;
}

/* ---- the command line ---- */

static void print_usage(FILE *out)
{
    fprintf(out,
            "Usage: pgforce-sandbox object add NAME [OPTION]...\n"
            "Adds an object to a sandbox organisation, or fields to one that is there.\n\n"
            "  --label TEXT   its label (the name)\n"
            "  --field FIELD  a field; may be repeated: Code__c:string(20),unique,external-id\n"
            "                 Price__c:currency(16,2),required   Stage__c:picklist(Idea|Done)\n"
            "                 Account__c:reference(Account),master\n"
            "  --file FILE    a JSON definition instead of NAME, --label and --field\n"
            "  --url URL      the sandbox that runs (%s)\n"
            "  --data FILE    the data file of one that does not\n"
            "  --help         show this\n",
            default_url);
}

static bool load_file(struct addition *addition, const char *path, struct error *err)
{
    json_error_t problem;

    json_decref(addition->definition);
    addition->is_file = true;
    addition->definition = json_load_file(path, 0, &problem);
    if (addition->definition == NULL)
        return error_set(err, ERROR_CONFIG, "%s: line %d: %s", path, problem.line, problem.text);
    return true;
}

static bool append_field(struct addition *addition, const char *text, struct error *err)
{
    json_t *field = object_add_field(text, err);

    if (field == NULL)
        return error_prefix(err, "--field %s", text);
    json_array_append_new(json_object_get(addition->definition, "fields"), field);
    return true;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct addition *addition, struct error *err)
{
    static const struct option options[] = {{"label", required_argument, NULL, 'l'},
                                            {"field", required_argument, NULL, 'f'},
                                            {"file", required_argument, NULL, 'j'},
                                            {"url", required_argument, NULL, 'u'},
                                            {"data", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool is_right = true;
    int key;

    while (is_right && (key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (key) {
        case 'l': json_object_set_new(addition->definition, "label", json_string(optarg)); break;
        case 'f': is_right = append_field(addition, optarg, err); break;
        case 'j': is_right = load_file(addition, optarg, err); break;
        case 'u': addition->url = optarg; break;
        case 'd': addition->data = optarg; break;
        case 'h': print_usage(stdout); return EXIT_OK;
        default: print_usage(stderr); return EXIT_USAGE;
        }
    }
    if (is_right && optind != argc - (addition->is_file ? 0 : 1))
        is_right = error_set(err, ERROR_CONFIG, "name one object, or a file");
    else if (is_right && !addition->is_file)
        json_object_set_new(addition->definition, "name", json_string(argv[optind]));
    return is_right ? -1 : EXIT_USAGE;
}

int object_add_main(int argc, char **argv)
{
    struct addition addition = {.url = default_url, .definition = json_pack("{s:[]}", "fields")};
    struct error err = {0};
    int code = parse(argc, argv, &addition, &err);

    if (code < 0) {
        bool is_added = wait_init(&err) && (addition.data != NULL ? add_to_file(&addition, &err)
                                                                  : add_by_http(&addition, &err));
        code = is_added ? EXIT_OK : EXIT_FAILED;
    }
    if (err.message[0] != '\0' && code != EXIT_OK)
        fprintf(stderr, "pgforce-sandbox: object add: %s\n", err.message);
    json_decref(addition.definition);
    return code;
}
