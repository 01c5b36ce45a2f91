#include "sandbox/oauth_soap.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/oauth.h"
#include "sandbox/users.h"
#include "sandbox/xml.h"

enum { LAST_VERSION = 64 };

static const char envelope[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope "
    "xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" "
    "xmlns=\"urn:partner.soap.sforce.com\" "
    "xmlns:sf=\"urn:fault.partner.soap.sforce.com\" "
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>%s</soapenv:Body>"
    "</soapenv:Envelope>";

static void answer(struct call *call, int status, const char *body)
{
    const char *mark = strstr(envelope, "%s");

    call_text(
        call, status, "text/xml;charset=UTF-8",
        arena_printf(call->arena, "%.*s%s%s", (int)(mark - envelope), envelope, body, mark + 2));
}

static void refuse(struct call *call, const char *code, const char *message)
{
    answer(call, 500,
           arena_printf(call->arena,
                        "<soapenv:Fault><faultcode>sf:%s</faultcode><faultstring>%s: %s"
                        "</faultstring><detail><sf:LoginFault xsi:type=\"sf:LoginFault\">"
                        "<sf:exceptionCode>%s</sf:exceptionCode><sf:exceptionMessage>%s"
                        "</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>",
                        code, code, message, code, message));
}

static void log_in(struct call *call, const char *version)
{
    struct org *org = call->org;

    answer(call, 200,
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

void oauth_soap(struct call *call)
{
    const char *version = call->arguments[0];
    const char *username = xml_find(call->arena, call->request->body, "username");
    const char *password = xml_find(call->arena, call->request->body, "password");
    struct user *user = NULL;

    if (atoi(version) > LAST_VERSION)
        refuse(call, "UNSUPPORTED_API_VERSION", "login() is not available in this API version");
    else if (username == NULL || password == NULL)
        refuse(call, "UNKNOWN_EXCEPTION", "only login() is understood");
    else if ((user = users_find(call->org, username)) == NULL ||
             !users_has_password(user, password))
        refuse(call, "INVALID_LOGIN",
               "Invalid username, password, security token; or user locked out.");
    else {
        users_become(call->org, user);
        log_in(call, version);
    }
}
