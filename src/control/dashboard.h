/*
 * The dashboard's files: one page and what it loads, part of the binary.
 *
 * They hold nothing secret, so the page that asks for a token needs none. Whatever the page shows
 * it asks of the API, as any other client. A browser keeps the files and asks each time whether
 * they are still the same (ETag), so a new daemon is never met by the old page.
 */
#ifndef PGFORCE_CONTROL_DASHBOARD_H
#define PGFORCE_CONTROL_DASHBOARD_H

#include "control/request.h"

void dashboard_page(struct request *request); /* GET / */
void dashboard_file(struct request *request); /* GET /dashboard/{file} */

#endif
