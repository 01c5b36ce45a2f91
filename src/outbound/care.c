#include "outbound/care.h"

#include <string.h>

#include "sf/datetime.h"
#include "sync/merge.h"

void care_take(struct care *care, const json_t *record, const struct queue_entry *entry,
               struct plan_entry *planned)
{
    const char *user_id = json_string_value(json_object_get(record, CARE_USER));
    const char *changed = json_string_value(json_object_get(record, CARE_DATE));
    struct merge_sight sight = {
        .looked_s = care->looked_s,
        .is_by_us = user_id != NULL && strcmp(user_id, care->user_id) == 0,
        .was_in_doubt = entry->was_in_doubt,
        .attempt = (uint32_t)entry->attempt,
    };
    int64_t changed_us;

    if (changed == NULL || !sf_datetime_parse(changed, &changed_us))
        return;
    sight.changed_s = changed_us / 1000000;
    switch (merge_choose_care(&sight)) {
    case MERGE_CARELESS: return;
    case MERGE_WAIT_SECOND: planned->is_put_off = true; return;
    case MERGE_CONDITION:
        if (care->conditions++ < CARE_CONDITIONS_MAX)
            planned->unmodified_since_s = sight.changed_s;
        return;
    }
}
