#include "sandbox/xml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdint.h>
#include <string.h>

static const char *text_of(const xmlChar *text)
{
    return (const char *)text;
}

/* NULL when it is not well-formed, or would define something. */
static xmlDoc *parse(const char *document, size_t size_bytes)
{
    int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA;

    if (size_bytes > INT32_MAX)
        return NULL;
    xmlDoc *parsed = xmlReadMemory(document, (int)size_bytes, NULL, NULL, options);
    if (parsed != NULL && parsed->intSubset != NULL) {
        xmlFreeDoc(parsed);
        return NULL;
    }
    return parsed;
}

static const xmlNode *first_element(const xmlNode *node)
{
    while (node != NULL && node->type != XML_ELEMENT_NODE)
        node = node->next;
    return node;
}

static json_t *read_text(const xmlNode *node)
{
    xmlChar *text = xmlNodeGetContent(node);
    json_t *json = text != NULL && *text != '\0' ? json_string(text_of(text)) : json_null();

    xmlFree(text);
    return json != NULL ? json : json_null();
}

/* A second element of a name makes an array of it. */
static void add_member(json_t *object, const char *name, json_t *value)
{
    json_t *present = json_object_get(object, name);

    if (present == NULL) {
        json_object_set_new(object, name, value);
    } else if (json_is_array(present)) {
        json_array_append_new(present, value);
    } else {
        json_t *list = json_array();

        json_array_append(list, present);
        json_array_append_new(list, value);
        json_object_set_new(object, name, list);
    }
}

/* libxml2 lets nothing be deeper than 256. */
static json_t *read_element(const xmlNode *node)
{
    const xmlNode *child = first_element(node->children);

    if (child == NULL)
        return read_text(node);
    json_t *object = json_object();
    xmlChar *type = xmlGetProp(node, (const xmlChar *)"type");
    if (type != NULL)
        json_object_set_new(object, "@type", json_string(text_of(type)));
    xmlFree(type);
    for (; child != NULL; child = first_element(child->next))
        add_member(object, text_of(child->name), read_element(child));
    return object;
}

json_t *xml_read(const char *document, size_t size_bytes)
{
    xmlDoc *parsed = parse(document, size_bytes);
    const xmlNode *root = parsed != NULL ? xmlDocGetRootElement(parsed) : NULL;
    json_t *json = NULL;

    if (root != NULL) {
        json = json_object();
        json_object_set_new(json, text_of(root->name), read_element(root));
    }
    xmlFreeDoc(parsed);
    return json;
}

/* In the order of the document. */
static const xmlNode *find_element(const xmlNode *node, const char *name)
{
    for (node = first_element(node); node != NULL; node = first_element(node->next)) {
        if (strcmp(text_of(node->name), name) == 0)
            return node;
        const xmlNode *inside = find_element(node->children, name);
        if (inside != NULL)
            return inside;
    }
    return NULL;
}

const char *xml_find(struct arena *arena, const char *document, const char *name)
{
    xmlDoc *parsed = parse(document, strlen(document));
    const xmlNode *node = parsed != NULL ? find_element(xmlDocGetRootElement(parsed), name) : NULL;
    const char *found = NULL;

    if (node != NULL) {
        xmlChar *text = xmlNodeGetContent(node);

        found = text != NULL ? arena_strdup(arena, text_of(text)) : "";
        xmlFree(text);
    }
    xmlFreeDoc(parsed);
    return found;
}

void xml_write(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': buf_text(out, "&amp;"); break;
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '"': buf_text(out, "&quot;"); break;
        default:
            /* XML has no place for the other control characters. */
            if ((unsigned char)*text >= 0x20 || strchr("\t\r\n", *text) != NULL)
                buf_char(out, *text);
        }
    }
}

const char *xml_escape(struct arena *arena, const char *text)
{
    struct buf out BUF_AUTO = {0};

    buf_init(&out, SIZE_MAX / 2);
    xml_write(&out, text);
    return arena_strdup(arena, out.data);
}
