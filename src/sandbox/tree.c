#include "sandbox/tree.h"

#include <string.h>

#include "sandbox/save.h"

enum { MAX_RECORDS = 200, MAX_DEPTH = 5 };

/* A tree on its way into the tables. */
struct tree {
    struct call *call;
    size_t count;
    json_t *created; /* referenceId and id */
    json_t *refused; /* referenceId and errors */
    struct error *err;
};

/* A record and where it hangs. */
struct node {
    const struct object *object;
    const json_t *json;
    const struct field *link; /* to the parent; NULL at the top */
    const char *parent_id;
    int depth;
};

static const char *reference_of(const json_t *record)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(record, "attributes"), "referenceId"));

    return name != NULL ? name : "";
}

static bool refuse(struct tree *tree, const json_t *record, const struct record_errors *errors)
{
    json_array_append_new(tree->refused,
                          json_pack("{s:s, s:o}", "referenceId", reference_of(record), "errors",
                                    errors_to_json(errors, "statusCode")));
    return true;
}

static bool refuse_with(struct tree *tree, const json_t *record, const char *code,
                        const char *message)
{
    struct record_errors errors = {.arena = tree->call->arena};

    errors_add(&errors, code, "", "%s", message);
    return refuse(tree, record, &errors);
}

static bool is_list(const json_t *value)
{
    return json_is_array(json_object_get(value, "records"));
}

/* The record's own fields, without the lists of its children. */
static json_t *own_fields(const struct node *node)
{
    json_t *fields = json_object();
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)node->json, key, value)
    {
        if (!is_list(value))
            json_object_set(fields, key, value);
    }
    if (node->link != NULL)
        json_object_set_new(fields, node->link->name, json_string(node->parent_id));
    return fields;
}

static bool create_node(struct tree *tree, const struct node *node);

static bool create_children(struct tree *tree, const struct node *node, const char *id)
{
    const char *key;
    json_t *value;
    size_t index;
    const json_t *child;

    json_object_foreach((json_t *)node->json, key, value)
    {
        struct node below = {.parent_id = id, .depth = node->depth + 1};

        if (!is_list(value))
            continue;
        below.link = schema_children(tree->call->org->schema, node->object, key, &below.object);
        if (below.link == NULL)
            return refuse_with(tree, node->json, "INVALID_FIELD",
                               arena_printf(tree->call->arena,
                                            "No such column '%s' on sobject of type %s", key,
                                            node->object->name));
        json_array_foreach(json_object_get(value, "records"), index, child)
        {
            below.json = child;
            if (!create_node(tree, &below))
                return false;
        }
    }
    return true;
}

static bool create_node(struct tree *tree, const struct node *node)
{
    struct save save;

    if (++tree->count > MAX_RECORDS || node->depth > MAX_DEPTH)
        return refuse_with(tree, node->json, "INVALID_INPUT",
                           "A tree has at most 200 records on at most 5 levels");
    save_init(&save, tree->call->org, tree->call->arena, node->object);
    json_t *fields = own_fields(node);
    bool is_done = save_insert(&save, fields, tree->err);
    json_decref(fields);
    if (!is_done)
        return false;
    if (!errors_is_empty(&save.errors))
        return refuse(tree, node->json, &save.errors);
    json_array_append_new(tree->created, json_pack("{s:s, s:s}", "referenceId",
                                                   reference_of(node->json), "id", save.id));
    return create_children(tree, node, save.id);
}

static bool create_all(struct tree *tree, const struct object *object, const json_t *records)
{
    size_t index;
    const json_t *record;

    json_array_foreach(records, index, record)
    {
        struct node node = {.object = object, .json = record, .depth = 1};

        if (!create_node(tree, &node))
            return false;
    }
    return true;
}

static void answer(struct tree *tree, bool is_done)
{
    struct store *store = tree->call->org->store;
    bool is_kept = is_done && json_array_size(tree->refused) == 0;
    bool is_settled = is_kept ? store_commit(store, tree->err) : store_rollback(store, tree->err);

    tree->call->record_count = tree->count;
    if (!is_done || !is_settled)
        call_failed(tree->call, tree->err);
    else
        call_json(tree->call, is_kept ? 201 : 400,
                  json_pack("{s:b, s:O}", "hasErrors", !is_kept, "results",
                            is_kept ? tree->created : tree->refused));
}

void tree_create(struct call *call)
{
    const struct object *object = call_object(call, call->arguments[0]);
    json_t *body = object != NULL ? call_body(call) : NULL;
    const json_t *records = json_object_get(body, "records");
    struct error err = {0};
    struct tree tree = {.call = call, .err = &err};

    if (body == NULL)
        return;
    if (!json_is_array(records)) {
        call_error(call, "JSON_PARSER_ERROR", "records: an array of records is required");
        return;
    }
    if (!store_begin(call->org->store, &err)) {
        call_failed(call, &err);
        return;
    }
    tree.created = json_array();
    tree.refused = json_array();
    answer(&tree, create_all(&tree, object, records));
    json_decref(tree.created);
    json_decref(tree.refused);
}
