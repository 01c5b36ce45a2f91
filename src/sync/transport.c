#include "sync/transport.h"

bool transport_is_bulk(const struct transport_run *run)
{
    if (run->threshold == 0 || run->count < run->threshold || run->is_merged || run->is_disabled)
        return false;
    return run->action == DELIVERY_INSERT ? run->has_unique_identifier : run->does_postgres_win;
}
