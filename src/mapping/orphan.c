#include "mapping/orphan.h"

#include <strings.h>

#include "sf/describe.h"

static bool has_object(const struct sf_object_list *list, const char *object_name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->objects[i].name, object_name) == 0)
            return true;
    return false;
}

static void add(json_t *orphans, const struct mapping *mapping, const char *reason)
{
    json_array_append_new(orphans, json_pack("{s:s, s:s, s:s}", "object_name", mapping->object_name,
                                             "table_name", mapping->table_name, "reason", reason));
}

bool orphan_list(const struct configure_target *target, json_t **orphans, struct error *err)
{
    struct mapping_list mappings;
    struct sf_object_list objects;

    *orphans = NULL;
    if (!mapping_load_every(target->pg, target->schema_name, target->arena, &mappings, err) ||
        !sf_describe_global(target->session, target->arena, &objects, err))
        return false;
    *orphans = json_array();
    for (size_t i = 0; i < mappings.count; i++) {
        const struct mapping *mapping = &mappings.items[i];
        if (mapping->is_orphan)
            add(*orphans, mapping,
                mapping->state_description != NULL ? mapping->state_description : "");
        else if (!has_object(&objects, mapping->object_name))
            add(*orphans, mapping,
                "the organisation has no such object any more, or hides it from the integration"
                " user");
    }
    return true;
}
