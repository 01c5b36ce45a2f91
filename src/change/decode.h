/*
 * A file of changes, as the plugin sent them, to lines of JSON: what `pgforce decode` does.
 */
#ifndef PGFORCE_CHANGE_DECODE_H
#define PGFORCE_CHANGE_DECODE_H

#include <stdio.h>

#include "change/change_json.h"

/*
 * Reads to the end of in. A file that is no Batch, or that ends inside an event, is an error, after
 * all that stands before the damage has been printed.
 */
bool decode_file(FILE *in, FILE *out, const struct change_json_options *options, struct error *err);

#endif
