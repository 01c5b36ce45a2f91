/*
 * Every difference between server versions 14 to 19 that the plugin meets, and nothing else.
 */
#ifndef PGFORCE_PLUGIN_COMPAT_H
#define PGFORCE_PLUGIN_COMPAT_H

#include "postgres.h"

#include "access/htup.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 140000
#error "pgforce needs PostgreSQL 14 or later"
#endif

/* The tuple of a change, or NULL. */
#if PG_VERSION_NUM >= 170000
#define compat_tuple(change_tuple) (change_tuple)
#else
#define compat_tuple(change_tuple) ((change_tuple) != NULL ? &(change_tuple)->tuple : NULL)
#endif

#if PG_VERSION_NUM >= 150000 && PG_VERSION_NUM < 190000
#define compat_commit_time(txn) ((txn)->xact_time.commit_time)
#else
#define compat_commit_time(txn) ((txn)->commit_time)
#endif

#if PG_VERSION_NUM >= 190000
typedef ReplOriginId compat_origin_id;
#else
typedef RepOriginId compat_origin_id;
#endif

/* The server's names for these two changed in 19; the numbers are in its logs and stay. */
enum { COMPAT_ORIGIN_NONE = 0, COMPAT_ORIGIN_UNNAMED = PG_UINT16_MAX };

#if PG_VERSION_NUM >= 150000
#define compat_update_progress(ctx, is_skipped) OutputPluginUpdateProgress((ctx), (is_skipped))
#else
#define compat_update_progress(ctx, is_skipped) OutputPluginUpdateProgress((ctx))
#endif

#if PG_VERSION_NUM >= 160000
#define compat_may_use_schema(schema, role)                                                        \
    (object_aclcheck(NamespaceRelationId, (schema), (role), ACL_USAGE) == ACLCHECK_OK)
#else
#define compat_may_use_schema(schema, role)                                                        \
    (pg_namespace_aclcheck((schema), (role), ACL_USAGE) == ACLCHECK_OK)
#endif

/* Virtual generated columns (18) are not stored, so they are not in the log. */
#ifdef ATTRIBUTE_GENERATED_VIRTUAL
#define compat_is_virtual(attribute) ((attribute)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define compat_is_virtual(attribute) (false)
#endif

#endif
