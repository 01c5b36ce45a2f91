#include "net/http_daemon.h"

enum { HEAD_BYTES = 64 * 1024 }; /* request line and headers, unless the options say otherwise */

void http_daemon_fill(const struct http_server_options *options, struct MHD_OptionItem *items)
{
    size_t count = 0;
    size_t head_bytes = options->max_head_bytes != 0 ? options->max_head_bytes : HEAD_BYTES;

    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)head_bytes, NULL};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s, NULL};
    if (options->max_connections > 0)
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, options->max_connections, NULL};
    if (options->tls_certificate != NULL) {
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (char *)options->tls_certificate};
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (char *)options->tls_key};
        items[count++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0, (char *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
    }
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}
