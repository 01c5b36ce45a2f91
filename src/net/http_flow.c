#include "net/http_flow.h"

#include <stdlib.h>
#include <string.h>

#include "net/http_file.h"

enum { BLOCK_BYTES = 64 * 1024 };

struct flow {
    struct http_server_response *answer; /* its body is what is being taken */
    struct http_flow_server server;
    size_t taken_bytes;
    bool is_over;
};

/* False when there is nothing to be taken now. */
static bool refill(struct flow *flow)
{
    struct http_server_response *answer = flow->answer;

    buf_clear(&answer->body);
    flow->taken_bytes = 0;
    flow->is_over = flow->is_over || *flow->server.is_ending ||
                    !answer->flow.more(answer->flow.context, &answer->body) ||
                    buf_is_full(&answer->body);
    return answer->body.size_bytes > 0;
}

static ssize_t read_flow(void *context, uint64_t position, char *out, size_t room)
{
    struct flow *flow = context;
    const struct buf *body = &flow->answer->body;

    (void)position;
    if (flow->taken_bytes == body->size_bytes && !refill(flow)) {
        if (flow->is_over)
            return MHD_CONTENT_READER_END_OF_STREAM;
        flow->server.rest(flow->server.exchange);
        return 0;
    }
    size_t left_bytes = body->size_bytes - flow->taken_bytes;
    size_t size = left_bytes < room ? left_bytes : room;
    memcpy(out, body->data + flow->taken_bytes, size);
    flow->taken_bytes += size;
    return (ssize_t)size;
}

struct MHD_Response *http_flow_response(struct http_server_response *answer,
                                        const struct http_flow_server *server)
{
    struct flow *flow = memory_alloc(sizeof(*flow));

    *flow = (struct flow){.answer = answer, .server = *server};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_flow, flow, free);
    if (response == NULL)
        free(flow);
    return http_file_add_headers(response, answer, false);
}
