#include "control/validations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/child.h"
#include "control/connections.h"
#include "control/mappings.h"

enum { KEPT = 16, ID_BYTES = 40, DOCTOR_FOUND_ERRORS = 1 };

struct validation {
    char id[ID_BYTES]; /* "": free */
    bool is_running;
    json_t *report; /* NULL where the doctor could not be run */
};

struct validations {
    struct validation items[KEPT];
    size_t next;
};

struct validations *validations_new(void)
{
    return memory_alloc(sizeof(struct validations));
}

void validations_free(struct validations *validations)
{
    if (validations == NULL)
        return;
    for (size_t i = 0; i < KEPT; i++)
        json_decref(validations->items[i].report);
    free(validations);
}

/* The oldest one that does not run makes room; NULL when all run, more than there can be children.
 */
static struct validation *take_place(struct validations *validations)
{
    for (size_t i = 0; i < KEPT; i++) {
        struct validation *item = &validations->items[validations->next];

        validations->next = (validations->next + 1) % KEPT;
        if (item->is_running)
            continue;
        json_decref(item->report);
        *item = (struct validation){0};
        return item;
    }
    return NULL;
}

static void make_id(char id[ID_BYTES])
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static void take_result(void *context, int exit_code, json_t *output)
{
    struct validation *item = context;

    (void)exit_code;
    item->is_running = false;
    item->report = json_incref(output);
}

void validations_start(struct request *request)
{
    static const char *const arguments[] = {"doctor", "--json", NULL};
    struct validation *item;

    if (!connections_is_ours(request))
        return;
    item = take_place(request->serve->validations);
    if (item == NULL || !child_spawn(request->serve->children, arguments, take_result, item)) {
        request_refuse(request, 503, "busy", "too much is running already: try again");
        return;
    }
    make_id(item->id);
    item->is_running = true;
    const char *path = arena_printf(request->arena, "/validations/%s", item->id);
    request_answer(request, 202,
                   json_pack("{s:s, s:s, s:s}", "id", item->id, "status", "RUNNING", "result_url",
                             connections_url(request, path)));
}

static const struct validation *find(const struct request *request)
{
    const struct validations *validations = request->serve->validations;

    for (size_t i = 0; i < KEPT; i++)
        if (validations->items[i].id[0] != '\0' &&
            strcmp(validations->items[i].id, request->arguments[1]) == 0)
            return &validations->items[i];
    return NULL;
}

void validations_result(struct request *request)
{
    const struct validation *item;

    if (!connections_is_ours(request))
        return;
    item = find(request);
    if (item == NULL)
        request_refuse(request, 404, "not_found", "there is no validation %s (only %d are kept)",
                       request->arguments[1], KEPT);
    else if (item->is_running)
        request_answer(request, 202, json_pack("{s:s, s:s}", "id", item->id, "status", "RUNNING"));
    else if (item->report == NULL)
        request_refuse(request, 500, "internal_error",
                       "the doctor could not be run; the log says why");
    else
        request_answer(request, 200, json_incref(item->report));
}

void validations_report(struct request *request)
{
    const char *arguments[] = {"doctor", "--json", NULL};

    if (connections_is_ours(request))
        child_run(request, &(struct child_call){.arguments = arguments,
                                                .status = 200,
                                                .other_code = DOCTOR_FOUND_ERRORS});
}

static void answer_mapping(struct request *request, json_t *output)
{
    const char *name;
    json_t *lists;

    /* The doctor was asked about one mapping. */
    json_object_foreach(json_object_get(output, "mappings"), name, lists)
    {
        request_answer(request, 200, json_incref(lists));
        return;
    }
    request_answer(request, 200,
                   json_pack("{s:[], s:[], s:[], s:[]}", "errors", "warnings", "passes", "skips"));
}

void validations_mapping(struct request *request)
{
    const char *object_name = mappings_find_object(request);
    const char *arguments[] = {"doctor", object_name, "--json", NULL};

    if (object_name != NULL)
        child_run(request, &(struct child_call){.arguments = arguments,
                                                .other_code = DOCTOR_FOUND_ERRORS,
                                                .done = answer_mapping});
}
