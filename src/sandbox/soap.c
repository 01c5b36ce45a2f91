#include "sandbox/soap.h"

#include <string.h>

#include "sandbox/xml.h"

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

void soap_read(struct call *call, const char *name_space, struct soap *soap)
{
    *soap = (struct soap){.name_space = name_space, .operation = ""};
    call->body = xml_read(call->request->body, call->request->body_bytes);
    const json_t *envelope = json_object_get(call->body, "Envelope");
    json_t *body = json_object_get(envelope, "Body");
    void *first = json_object_iter(body);
    soap->session_id =
        text_in(json_object_get(json_object_get(envelope, "Header"), "SessionHeader"), "sessionId");
    if (first == NULL)
        return;
    soap->operation = json_object_iter_key(first);
    soap->arguments = json_object_iter_value(first);
}

static void answer(struct call *call, const struct soap *soap, int status, const char *xml)
{
    call_text(call, status, "text/xml;charset=UTF-8",
              arena_printf(call->arena,
                           "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope "
                           "xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                           "xmlns=\"%s\" xmlns:sf=\"%s\" "
                           "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
                           "<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>",
                           soap->name_space, soap->name_space, xml));
}

void soap_answer(struct call *call, const struct soap *soap, const char *xml)
{
    answer(call, soap, 200, xml);
}

void soap_refuse(struct call *call, const struct soap *soap, const char *code, const char *message)
{
    const char *text = xml_escape(call->arena, message);

    answer(call, soap, 500,
           arena_printf(call->arena,
                        "<soapenv:Fault><faultcode>sf:%s</faultcode><faultstring>%s: %s"
                        "</faultstring><detail><sf:fault><sf:exceptionCode>%s</sf:exceptionCode>"
                        "<sf:exceptionMessage>%s</sf:exceptionMessage></sf:fault></detail>"
                        "</soapenv:Fault>",
                        code, code, text, code, text));
}
