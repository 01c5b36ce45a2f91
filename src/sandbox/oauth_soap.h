/*
 * login() of the SOAP API, by which old clients open their session. Nothing else of SOAP is here,
 * and from API 65 on not even that. Source: SOAP API Developer Guide, "login()".
 */
#ifndef PGFORCE_SANDBOX_OAUTH_SOAP_H
#define PGFORCE_SANDBOX_OAUTH_SOAP_H

#include "sandbox/call.h"

void oauth_soap(struct call *call);

#endif
