/*
 * The bulk jobs in the organisation's store, so that a snapshot has them and a restart finds them.
 *
 * With a data file a job is written whenever it has changed, and its progress in the same unit of
 * work as the rows; without one only when a snapshot is taken. What a job's spools hold is written
 * once, as they grow. A query that had not ended begins again.
 */
#ifndef PGFORCE_SANDBOX_BULK_STORE_H
#define PGFORCE_SANDBOX_BULK_STORE_H

#include "sandbox/bulk_jobs.h"

bool bulk_store_open(struct org *org, struct error *err);

/* Whether jobs are written as they change. */
bool bulk_store_is_kept(const struct org *org);

bool bulk_store_save(struct org *org, struct bulk_job *job, struct error *err);

/* All jobs that have changed, those of the Bulk API 1.0 with them. */
bool bulk_store_save_changed(struct org *org, struct error *err);

/* The jobs as the store has them, instead of those there are. */
bool bulk_store_load(struct org *org, struct error *err);

void bulk_store_drop(struct org *org, const char *id);
bool bulk_store_clear(struct org *org, struct error *err);

#endif
