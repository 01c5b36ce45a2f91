/*
 * multipart/form-data: the parts of a body, by name. Pure, and bounded by the body it is given.
 */
#ifndef PGFORCE_SANDBOX_MULTIPART_H
#define PGFORCE_SANDBOX_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

struct multipart_body {
    const char *content_type; /* "multipart/form-data; boundary=x" */
    const char *data;
    size_t size_bytes;
};

bool multipart_is(const char *content_type);

/* The content of the part with that name; NULL when there is none or the body is not whole. */
const char *multipart_find(const struct multipart_body *body, const char *name, size_t *size_bytes);

#endif
