#include "sandbox/query_columns.h"

#include <string.h>

static json_t *list_columns(const struct soql_shape *shape);

static bool is_type(const struct field *field, enum field_kind kind)
{
    return field != NULL && field->type->kind == kind;
}

static json_t *describe_column(const struct soql_shape_item *item)
{
    const struct field *field = item->field;
    bool is_number = is_type(field, KIND_INTEGER) || is_type(field, KIND_REAL);
    json_t *joined = json_array();

    if (item->parent != NULL)
        joined = (json_decref(joined), list_columns(item->parent));
    if (item->children != NULL)
        joined = (json_decref(joined), list_columns(item->children->shape));
    return json_pack(
        "{s:s, s:s, s:b, s:b, s:s, s:b, s:b, s:b, s:n, s:b, s:b, s:o}", "columnName", item->name,
        "displayName", item->name, "aggregate", item->is_aggregate || item->children != NULL,
        "custom", field != NULL && field->is_custom, "apexType",
        field != NULL ? field->type->apex_type : "", "booleanType", is_type(field, KIND_BOOLEAN),
        "numberType", is_number, "textType", is_type(field, KIND_TEXT), "foreignKeyName",
        "insertable", field != NULL && field->is_createable, "updatable",
        field != NULL && field->is_updateable, "joinColumns", joined);
}

static json_t *list_columns(const struct soql_shape *shape)
{
    json_t *list = json_array();

    for (const struct soql_shape_item *item = shape != NULL ? shape->items : NULL; item != NULL;
         item = item->next)
        json_array_append_new(list, describe_column(item));
    return list;
}

static bool selects_id(const struct soql_shape *shape)
{
    for (const struct soql_shape_item *item = shape != NULL ? shape->items : NULL; item != NULL;
         item = item->next)
        if (strcmp(item->name, "Id") == 0)
            return true;
    return false;
}

void query_columns(struct call *call, const struct soql_plan *plan)
{
    call_json(call, 200,
              json_pack("{s:o, s:s, s:b, s:b, s:s}", "columnMetadata", list_columns(plan->shape),
                        "entityName", plan->object->name, "groupBy", plan->is_aggregate,
                        "idSelected", selects_id(plan->shape), "keyPrefix",
                        plan->object->key_prefix));
}
