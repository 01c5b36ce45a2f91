#include "control/dashboard.h"

#include <string.h>
#include <strings.h>

#include "control/tokens.h"

/* Made by src/embed.cmake of the files in src/control/dashboard. */
extern const char dashboard_index_html[];
extern const char dashboard_style_css[];
extern const char dashboard_icon_svg[];
extern const char dashboard_app_js[];
extern const char dashboard_api_js[];
extern const char dashboard_dom_js[];
extern const char dashboard_format_js[];
extern const char dashboard_overview_js[];
extern const char dashboard_chart_js[];
extern const char dashboard_mappings_js[];
extern const char dashboard_mapping_form_js[];
extern const char dashboard_explorer_js[];
extern const char dashboard_tail_js[];
extern const char dashboard_settings_js[];

#define SCRIPT "text/javascript;charset=UTF-8"

static const struct file {
    const char *name;
    const char *content_type;
    const char *content;
} files[] = {
    {"index.html", "text/html;charset=UTF-8", dashboard_index_html},
    {"style.css", "text/css;charset=UTF-8", dashboard_style_css},
    {"icon.svg", "image/svg+xml", dashboard_icon_svg},
    {"app.js", SCRIPT, dashboard_app_js},
    {"api.js", SCRIPT, dashboard_api_js},
    {"dom.js", SCRIPT, dashboard_dom_js},
    {"format.js", SCRIPT, dashboard_format_js},
    {"overview.js", SCRIPT, dashboard_overview_js},
    {"chart.js", SCRIPT, dashboard_chart_js},
    {"mappings.js", SCRIPT, dashboard_mappings_js},
    {"mapping_form.js", SCRIPT, dashboard_mapping_form_js},
    {"explorer.js", SCRIPT, dashboard_explorer_js},
    {"tail.js", SCRIPT, dashboard_tail_js},
    {"settings.js", SCRIPT, dashboard_settings_js},
};

static const struct file *find_file(const char *name)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

/* In place of what every other answer says: these may be kept, and asked for again. */
static void allow_keeping(struct request *request)
{
    struct http_server_response *response = request->response;

    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, "Cache-Control") == 0)
            response->headers[i].value = "no-cache";
}

/* Of the content: two builds of one version need not be the same. */
static const char *make_tag(struct request *request, const struct file *file)
{
    char hex[TOKENS_HASH_BYTES];

    tokens_hash(file->content, strlen(file->content), hex);
    return arena_printf(request->arena, "\"%s\"", hex);
}

/* The header may list several, and a proxy that packs may have marked ours as weak. */
static bool has_it(struct request *request, const char *tag)
{
    const char *known = http_server_header(request->http, "If-None-Match");

    return known != NULL && strstr(known, tag) != NULL;
}

static void answer_file(struct request *request, const struct file *file)
{
    const char *tag = make_tag(request, file);

    allow_keeping(request);
    http_server_add_header(request->response, "ETag", tag);
    if (has_it(request, tag))
        request_answer_empty(request, 304);
    else
        request_answer_text(request, 200, file->content_type, file->content);
}

void dashboard_page(struct request *request)
{
    answer_file(request, find_file("index.html"));
}

void dashboard_file(struct request *request)
{
    const struct file *file = find_file(request->arguments[0]);

    if (file != NULL)
        answer_file(request, file);
    else
        request_refuse(request, 404, "not_found", "the dashboard has no file %s",
                       request->arguments[0]);
}
