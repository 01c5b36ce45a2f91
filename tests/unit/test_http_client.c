/* net/http_client: what is known of a request's fate, against a server that plays a script. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/wait.h"
#include "net/http_client.h"
#include "scripted_server.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Fact: yes \r\n\r\nhello"

static struct http_client *plain_client(void)
{
    struct error err = {0};
    struct http_client *client =
        http_client_new(&(struct http_client_options){.is_plain_http_allowed = true}, &err);

    assert_non_null(client);
    return client;
}

static struct http_exchange small_post(const struct scripted_server *server)
{
    return (struct http_exchange){
        .method = "POST", .url = server->url, .body = "x", .body_bytes = 1};
}

static void send_one(struct http_client *client, struct http_exchange *exchange)
{
    struct error err = {0};

    assert_true(http_send(client, exchange, 1, &err));
}

static void a_whole_answer_is_read_over_a_kept_connection(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}, {.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "GET", .url = server->url};
    struct buf value BUF_AUTO = {0};

    (void)state;
    buf_init(&value, 100);
    /* The server reads a second connection only after the first: a second answer means one. */
    for (int round = 0; round < 2; round++) {
        send_one(client, &exchange);
        assert_int_equal(exchange.fate, HTTP_ANSWERED);
        assert_int_equal(exchange.status, 200);
        assert_string_equal(exchange.received.data, "hello");
        assert_string_equal(http_header(&exchange, "x-fact", &value), "yes");
        assert_null(http_header(&exchange, "x-fac", &value));
        assert_string_equal(exchange.problem, "");
    }
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_non_null(strstr(server->received, "User-Agent: pgforce/"));
    server_free(server);
}

static void nobody_listening_means_not_sent(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = small_post(server);

    (void)state;
    server_stop(server);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_NOT_SENT);
    assert_int_equal(exchange.status, 0);
    assert_true(exchange.problem[0] != '\0');
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void an_answer_that_is_cut_means_unknown(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = NULL},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf", .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         .closes = true},
    };
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = small_post(server);

    (void)state;
    for (int round = 0; round < 3; round++) {
        send_one(client, &exchange);
        assert_int_equal(exchange.fate, HTTP_UNKNOWN);
    }
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void a_write_is_not_repeated_when_a_kept_connection_dies(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = OK_ANSWER}, {.bytes = NULL}, {.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = small_post(server);

    (void)state;
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_ANSWERED);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_UNKNOWN);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_int_equal(count_of(server->received, "POST / "), 2);
    server_free(server);
}

static void a_delete_without_a_body_is_not_repeated_either(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = OK_ANSWER}, {.bytes = NULL}, {.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "DELETE", .url = server->url};

    (void)state;
    send_one(client, &exchange);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_UNKNOWN);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_int_equal(count_of(server->received, "DELETE / "), 2);
    server_free(server);
}

static void a_read_is_repeated_when_a_kept_connection_dies(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = OK_ANSWER}, {.bytes = NULL}, {.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "GET", .url = server->url};

    (void)state;
    send_one(client, &exchange);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_ANSWERED);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

/* As from a server, or something before it, that answers twice. */
static void an_answer_that_nobody_asked_for_is_not_taken_for_the_next(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = OK_ANSWER, .unasked = OK_ANSWER},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = small_post(server);

    (void)state;
    send_one(client, &exchange);
    assert_string_equal(exchange.received.data, "hello");
    server_say_unasked(server);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_ANSWERED);
    assert_string_equal(exchange.received.data, "right");
    send_one(client, &exchange);
    assert_string_equal(exchange.received.data, "again");
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_int_equal(count_of(server->received, "POST "), 3);
    server_free(server);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    static const struct scripted_answer script[] = {
        {.bytes = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
        {.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "GET", .url = server->url};

    (void)state;
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_ANSWERED);
    assert_int_equal(exchange.status, 302);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_null(strstr(server->received, "/elsewhere"));
    server_free(server);
}

static void silence_ends_in_unknown(void **state)
{
    static const struct scripted_answer script[] = {{.stays_silent = true}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "GET", .url = server->url, .total_timeout_ms = 300};

    (void)state;
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_UNKNOWN);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void an_answer_larger_than_allowed_is_not_kept(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct error err = {0};
    struct http_client *client = http_client_new(
        &(struct http_client_options){.is_plain_http_allowed = true, .max_response_bytes = 4},
        &err);
    struct http_exchange exchange = {.method = "GET", .url = server->url};

    (void)state;
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_UNKNOWN);
    assert_non_null(strstr(exchange.problem, "larger than allowed"));
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void plain_http_is_refused_unless_allowed(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct error err = {0};
    struct http_client *client = http_client_new(&(struct http_client_options){0}, &err);
    struct http_exchange exchange = {.method = "GET", .url = server->url};

    (void)state;
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_NOT_SENT);
    assert_non_null(strstr(exchange.problem, "https"));
    exchange.url = "file:///etc/passwd";
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_NOT_SENT);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_int_equal(server->received_bytes, 0);
    server_free(server);
}

static void a_host_that_speaks_no_tls_gets_no_request(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = "no TLS\r\n", .closes = true}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    char url[64];
    struct http_exchange exchange = {
        .method = "POST", .url = url, .total_timeout_ms = 300, .body = "x", .body_bytes = 1};

    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.1:%d", server->port);
    send_one(client, &exchange);
    assert_int_equal(exchange.fate, HTTP_NOT_SENT);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void no_proxy_is_taken_from_the_environment(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}};
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "GET", .url = server->url};

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    send_one(client, &exchange);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(exchange.fate, HTTP_ANSWERED);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_free(server);
}

static void a_large_body_is_sent_gzipped(void **state)
{
    static const struct scripted_answer script[] = {{.bytes = OK_ANSWER}};
    static char body[5000];
    static char unpacked[6000];
    struct scripted_server *server = SCRIPT(script);
    struct http_client *client = plain_client();
    struct http_exchange exchange = {.method = "PATCH",
                                     .url = server->url,
                                     .body = body,
                                     .body_bytes = sizeof(body),
                                     .gzip_over_bytes = 1000};
    z_stream stream = {0};

    (void)state;
    memset(body, 'a', sizeof(body));
    send_one(client, &exchange);
    http_exchange_done(&exchange);
    http_client_free(client);
    server_stop(server);
    assert_non_null(strstr(server->received, "Content-Encoding: gzip"));
    assert_int_equal(strncmp(server->received, "PATCH / ", 8), 0);
    char *packed = strstr(server->received, "\r\n\r\n") + 4;
    stream.next_in = (unsigned char *)packed;
    stream.avail_in = (unsigned int)(server->received_bytes - (size_t)(packed - server->received));
    stream.next_out = (unsigned char *)unpacked;
    stream.avail_out = sizeof(unpacked);
    assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, sizeof(body));
    assert_memory_equal(unpacked, body, sizeof(body));
    inflateEnd(&stream);
    server_free(server);
}

static void many_requests_each_get_their_fate(void **state)
{
    static const struct scripted_answer one = {.bytes = OK_ANSWER, .closes = true};
    struct scripted_answer script[20];
    struct http_exchange exchanges[20] = {0};
    struct http_client *client = plain_client();
    struct error err = {0};

    (void)state;
    for (int i = 0; i < 20; i++)
        script[i] = one;
    struct scripted_server *server = SCRIPT(script);
    for (int i = 0; i < 20; i++)
        exchanges[i] = (struct http_exchange){.method = "GET", .url = server->url};
    assert_true(http_send(client, exchanges, 20, &err));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(exchanges[i].fate, HTTP_ANSWERED);
        assert_string_equal(exchanges[i].received.data, "hello");
        http_exchange_done(&exchanges[i]);
    }
    assert_true(http_send(client, NULL, 0, &err));
    http_client_free(client);
    server_free(server);
}

static void what_is_begun_goes_on_whatever_else_is_waited_for(void **state)
{
    static const struct scripted_answer one = {.bytes = OK_ANSWER, .closes = true};
    struct scripted_answer script[] = {one, one, one};
    struct scripted_server *server = SCRIPT(script);
    struct error err = {0};
    struct http_client *client = http_client_new(
        &(struct http_client_options){.is_plain_http_allowed = true, .max_parallel = 1}, &err);
    struct http_exchange exchanges[3];
    int never[2];
    int always[2];

    (void)state;
    assert_int_equal(pipe(never), 0);
    assert_int_equal(pipe(always), 0);
    assert_int_equal(write(always[1], "x", 1), 1);
    for (int i = 0; i < 3; i++)
        exchanges[i] = (struct http_exchange){.method = "GET", .url = server->url};
    http_begin(client, &exchanges[0]);
    http_begin(client, &exchanges[1]);
    while (!exchanges[0].is_over)
        assert_true(http_go_on(client, never[0], POLLIN, 60000, &err));
    assert_true(http_send(client, &exchanges[2], 1, &err));
    for (int i = 0; i < 3; i++) {
        assert_true(exchanges[i].is_over);
        assert_string_equal(exchanges[i].received.data, "hello");
        http_exchange_done(&exchanges[i]);
    }
    assert_true(http_go_on(client, always[0], POLLIN, 60000, &err));
    for (int i = 0; i < 2; i++) {
        close(never[i]);
        close(always[i]);
    }
    http_client_free(client);
    server_free(server);
}

static void only_this_machine_is_loopback(void **state)
{
    (void)state;
    assert_true(http_url_is_loopback("http://127.0.0.1:8080/x"));
    assert_true(http_url_is_loopback("https://LOCALHOST"));
    assert_true(http_url_is_loopback("http://[::1]:1"));
    assert_false(http_url_is_loopback("http://127.0.0.1.example.com"));
    assert_false(http_url_is_loopback("http://localhost@example.com"));
    assert_false(http_url_is_loopback("http://example.com/127.0.0.1"));
    assert_false(http_url_is_loopback("127.0.0.1"));
    assert_false(http_url_is_loopback(""));
}

static void a_url_carries_any_text(void **state)
{
    struct buf out BUF_AUTO = {0};

    (void)state;
    buf_init(&out, 100);
    http_url_encode(&out, "a b&c=+/é~");
    assert_string_equal(out.data, "a%20b%26c%3D%2B%2F%C3%A9~");
}

/* Last: from here on the process is stopping. */
static void being_told_to_stop_cuts_what_is_in_flight(void **state)
{
    static const struct scripted_answer script[] = {{.stops_the_client = true}};
    struct scripted_server *server = SCRIPT(script);
    struct error err = {0};
    struct http_client *client = http_client_new(
        &(struct http_client_options){.is_plain_http_allowed = true, .max_parallel = 1}, &err);
    struct http_exchange exchanges[2] = {{.method = "POST", .url = server->url},
                                         {.method = "POST", .url = server->url}};

    (void)state;
    assert_true(wait_init(&err));
    assert_false(http_send(client, exchanges, 2, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_int_equal(exchanges[0].fate, HTTP_UNKNOWN);
    assert_int_equal(exchanges[1].fate, HTTP_NOT_SENT);
    /* Nor does sending nothing mind. */
    assert_true(http_send(client, exchanges, 0, &err));
    http_exchange_done(&exchanges[0]);
    http_exchange_done(&exchanges[1]);
    http_client_free(client);
    server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_is_read_over_a_kept_connection),
        cmocka_unit_test(nobody_listening_means_not_sent),
        cmocka_unit_test(an_answer_that_is_cut_means_unknown),
        cmocka_unit_test(a_write_is_not_repeated_when_a_kept_connection_dies),
        cmocka_unit_test(a_delete_without_a_body_is_not_repeated_either),
        cmocka_unit_test(a_read_is_repeated_when_a_kept_connection_dies),
        cmocka_unit_test(an_answer_that_nobody_asked_for_is_not_taken_for_the_next),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(silence_ends_in_unknown),
        cmocka_unit_test(an_answer_larger_than_allowed_is_not_kept),
        cmocka_unit_test(plain_http_is_refused_unless_allowed),
        cmocka_unit_test(a_host_that_speaks_no_tls_gets_no_request),
        cmocka_unit_test(no_proxy_is_taken_from_the_environment),
        cmocka_unit_test(a_large_body_is_sent_gzipped),
        cmocka_unit_test(many_requests_each_get_their_fate),
        cmocka_unit_test(what_is_begun_goes_on_whatever_else_is_waited_for),
        cmocka_unit_test(only_this_machine_is_loopback),
        cmocka_unit_test(a_url_carries_any_text),
        cmocka_unit_test(being_told_to_stop_cuts_what_is_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
