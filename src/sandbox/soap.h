/*
 * The envelope of SOAP: what is asked, and the answer or the fault.
 */
#ifndef PGFORCE_SANDBOX_SOAP_H
#define PGFORCE_SANDBOX_SOAP_H

#include "sandbox/call.h"

struct soap {
    const char *name_space;  /* of the answer */
    const char *operation;   /* "" when the body is no envelope */
    const char *session_id;  /* of the header; NULL when there is none */
    const json_t *arguments; /* may be NULL; the call keeps them */
};

void soap_read(struct call *call, const char *name_space, struct soap *soap);

/* Answers with this XML in the body of an envelope. */
void soap_answer(struct call *call, const struct soap *soap, const char *xml);

void soap_refuse(struct call *call, const struct soap *soap, const char *code, const char *message);

#endif
