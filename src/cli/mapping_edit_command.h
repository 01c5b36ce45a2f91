/*
 * The verbs of `pgforce mapping` that need the organisation: create, edit, refresh, count, orphans.
 *
 * They turn the command line into a mapping's config and leave the rest to mapping/configure.h.
 */
#ifndef PGFORCE_CLI_MAPPING_EDIT_COMMAND_H
#define PGFORCE_CLI_MAPPING_EDIT_COMMAND_H

#include "cli/org_call.h"

/* The options of create and edit: for who reads, and for arguments.h. */
#define MAPPING_EDIT_USAGE                                                                         \
    "OBJECT [--field NAME,...] [--without NAME,...] [--access read_only|read_write]"               \
    " [--unique-id NAME | --no-unique-id] [--index NAME[:unique],...] [--no-index NAME,...]"       \
    " [--polling SECONDS] [--notify | --no-notify] [--max-api-calls N] [--calculated SECONDS]"     \
    " [--filter CONDITION | --no-filter] [--numeric | --no-numeric] [--conflict-policy POLICY]"    \
    " [--lost-create HOW] [--marker-field NAME] [--adopt-existing | --no-adopt-existing]"          \
    " [--delete-policy POLICY] [--truncate-policy POLICY] [--recreate-views]"
#define MAPPING_EDIT_OPTIONS                                                                       \
    "access= field= without= index= no-index= unique-id= no-unique-id polling= notify no-notify "  \
    "max-api-calls= filter= no-filter numeric no-numeric conflict-policy= lost-create= "           \
    "marker-field= adopt-existing "                                                                \
    "no-adopt-existing delete-policy= "                                                            \
    "truncate-policy= calculated= recreate-views"

bool mapping_edit_command_create(struct org_call *call, struct error *err);
bool mapping_edit_command_edit(struct org_call *call, struct error *err);
bool mapping_edit_command_refresh(struct org_call *call, struct error *err);
bool mapping_edit_command_count(struct org_call *call, struct error *err);
bool mapping_edit_command_orphans(struct org_call *call, struct error *err);

#endif
