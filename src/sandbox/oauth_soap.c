#include "sandbox/oauth_soap.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/oauth.h"
#include "sandbox/soap.h"
#include "sandbox/users.h"
#include "sandbox/xml.h"

enum { LAST_VERSION = 64 };

static void log_in(struct call *call, const struct soap *soap, const char *version)
{
    struct org *org = call->org;

    soap_answer(
        call, soap,
        arena_printf(
            call->arena,
            "<loginResponse><result><metadataServerUrl>%s/services/Soap/m/%s/%.15s"
            "</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>true</sandbox>"
            "<serverUrl>%s/services/Soap/u/%s/%.15s</serverUrl><sessionId>%s</sessionId>"
            "<userId>%s</userId><userInfo><organizationId>%s</organizationId>"
            "<organizationName>Sandbox</organizationName><userFullName>%s</userFullName>"
            "<userId>%s</userId><userName>%s</userName></userInfo></result></loginResponse>",
            org->base_url, version, org->org_id, org->base_url, version, org->org_id,
            oauth_open_session(org), org->user_id, org->org_id,
            xml_escape(call->arena, users_full_name(call->arena, org->user)), org->user_id,
            xml_escape(call->arena, users_text(org->user, "username"))));
}

static const char *argument(const struct soap *soap, const char *name)
{
    return json_string_value(json_object_get(soap->arguments, name));
}

void oauth_soap(struct call *call)
{
    const char *version = call->arguments[0];
    struct soap soap;

    soap_read(call, "urn:partner.soap.sforce.com", &soap);
    const char *username = argument(&soap, "username");
    const char *password = argument(&soap, "password");
    struct user *user = username != NULL ? users_find(call->org, username) : NULL;
    if (atoi(version) > LAST_VERSION) {
        soap_refuse(call, &soap, "UNSUPPORTED_API_VERSION",
                    "login() is not available in this API version");
    } else if (strcmp(soap.operation, "login") != 0) {
        soap_refuse(call, &soap, "UNKNOWN_EXCEPTION", "only login() is understood");
    } else if (user == NULL || password == NULL || !users_has_password(user, password)) {
        soap_refuse(call, &soap, "INVALID_LOGIN",
                    "Invalid username, password, security token; or user locked out.");
    } else {
        users_become(call->org, user);
        log_in(call, &soap, version);
    }
}
