/* sf/session: signing in, signing in again, and what an answer means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "scripted_org.h"
#include "sf/answer.h"
#include "sf/grant.h"
#include "sf/jwt.h"

static void a_session_knows_its_organisation_and_sends_its_token(void **state)
{
    static const struct org_answer script[] = {TOKEN("first-token"), {200, "{}", NULL, false}};
    struct scripted_server *server = ORG(script);
    struct sf_session *session;
    struct sf_call call = {.method = "GET", .path = "/limits"};
    struct error err = {0};

    (void)state;
    assert_true(org_open(server, &session, &err));
    assert_string_equal(sf_session_organisation_id(session), ORG_ID);
    assert_string_equal(sf_session_user_id(session), USER_ID);
    assert_string_equal(sf_session_instance_url(session), server->url);
    assert_true(sf_request_one(session, &call, &err));
    assert_true(json_is_object(call.json));
    assert_int_equal(sf_session_limits(session).used, 18);
    assert_int_equal(sf_session_limits(session).max, 5000);
    assert_int_equal(sf_session_requests(session), 2);
    sf_call_done(&call);
    sf_session_close(session);
    server_stop(server);
    assert_non_null(strstr(server->received, "POST /services/oauth2/token HTTP/1.1"));
    assert_non_null(strstr(server->received, "grant_type=client_credentials&client_id=the-client"));
    assert_non_null(strstr(server->received, "GET /services/data/v60.0/limits HTTP/1.1"));
    assert_non_null(strstr(server->received, "Authorization: Bearer first-token\r\n"));
    assert_non_null(strstr(server->received, "Sforce-Call-Options: client=mysync\r\n"));
    server_free(server);
}

static void writes_say_when_they_run_no_assignment_rules(void **state)
{
    static const struct org_answer script[] = {
        TOKEN("t"), {200, "{}", NULL, false}, {200, "{}", NULL, false}, {200, "{}", NULL, false}};
    struct scripted_server *server = ORG(script);
    struct sf_session *session;
    struct sf_call calls[3] = {{.method = "POST", .path = "/one"},
                               {.method = "GET", .path = "/two"},
                               {.method = "POST", .path = "/three"}};
    struct error err = {0};

    (void)state;
    assert_true(org_open(server, &session, &err));
    for (int i = 0; i < 3; i++) {
        sf_session_use_assignment_rules(session, i == 2);
        assert_true(sf_request_one(session, &calls[i], &err));
        sf_call_done(&calls[i]);
    }
    sf_session_close(session);
    server_stop(server);
    assert_int_equal(count_of(server->received, "Sforce-Auto-Assign: FALSE\r\n"), 1);
    server_free(server);
}

static void an_expired_token_is_renewed_once_for_all_calls(void **state)
{
    static const struct org_answer script[] = {TOKEN("old"),
                                               EXPIRED,
                                               EXPIRED,
                                               TOKEN("new"),
                                               {200, "{}", NULL, false},
                                               {200, "{}", NULL, false}};
    struct scripted_server *server = ORG(script);
    struct sf_session *session;
    struct sf_call calls[2] = {{.method = "GET", .path = "/one"},
                               {.method = "GET", .path = "/two"}};
    struct error err = {0};

    (void)state;
    assert_true(org_open(server, &session, &err));
    assert_true(sf_request(session, calls, 2, &err));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(calls[i].outcome, SF_OUTCOME_SUCCESS);
        sf_call_done(&calls[i]);
    }
    sf_session_close(session);
    server_stop(server);
    assert_int_equal(count_of(server->received, "POST /services/oauth2/token"), 2);
    assert_int_equal(count_of(server->received, "Bearer old"), 2);
    assert_int_equal(count_of(server->received, "Bearer new"), 2);
    server_free(server);
}

static void a_token_refused_twice_is_not_a_loop(void **state)
{
    static const struct org_answer script[] = {TOKEN("old"), EXPIRED, TOKEN("new"), EXPIRED,
                                               TOKEN("newer")};
    struct scripted_server *server = ORG(script);
    struct sf_session *session;
    struct sf_call call = {.method = "POST", .path = "/one", .body = "{}", .body_bytes = 2};
    struct error err = {0};

    (void)state;
    assert_true(org_open(server, &session, &err));
    assert_false(sf_request_one(session, &call, &err));
    assert_int_equal(call.outcome, SF_OUTCOME_SESSION);
    assert_int_equal(call.fate, SF_NOT_DONE);
    assert_int_equal(err.kind, ERROR_RETRY);
    sf_call_done(&call);
    sf_session_close(session);
    server_stop(server);
    assert_int_equal(count_of(server->received, "POST /services/oauth2/token"), 2);
    server_free(server);
}

static void another_organisation_after_signing_in_again_is_refused(void **state)
{
    static const struct org_answer script[] = {
        TOKEN("old"),
        EXPIRED,
        {200,
         "{\"access_token\":\"x\",\"instance_url\":\"@\",\"id\":\"https://x/id/00D000000000002EAA/"
         "005000000000001AAA\"}",
         NULL, false}};
    struct scripted_server *server = ORG(script);
    struct sf_session *session;
    struct sf_call call = {.method = "GET", .path = "/one"};
    struct error err = {0};

    (void)state;
    assert_true(org_open(server, &session, &err));
    assert_false(sf_request_one(session, &call, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.message, "organisation has changed"));
    assert_string_equal(sf_session_access_token(session), "old");
    sf_call_done(&call);
    sf_session_close(session);
    server_free(server);
}

/* Opens a session against one answer that must be refused. */
static struct error refusal_of(struct org_answer answer)
{
    struct scripted_server *server = org_start(&answer, 1);
    struct sf_session *session;
    struct error err = {0};

    assert_false(org_open(server, &session, &err));
    assert_null(session);
    server_free(server);
    return err;
}

static void a_refused_sign_in_names_the_setting_and_no_secret(void **state)
{
    struct error err = refusal_of((struct org_answer){
        400,
        "{\"error\":\"invalid_client\",\"error_description\":\"bad secret s3cret-canary given\"}",
        NULL, false});

    (void)state;
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.message, "PGFORCE_SF_CLIENT_SECRET"));
    assert_non_null(strstr(err.message, "invalid_client"));
    assert_null(strstr(err.message, "canary"));
    err = refusal_of((struct org_answer){400, "{\"error\":\"invalid_grant\"}", NULL, false});
    assert_int_equal(err.kind, ERROR_CONFIG);
    err = refusal_of((struct org_answer){400, "{\"error\":\"unknown_error\"}", NULL, false});
    assert_int_equal(err.kind, ERROR_RETRY);
    err = refusal_of((struct org_answer){503, "{\"error\":\"whatever\"}", NULL, false});
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void a_page_instead_of_a_token_is_a_wrong_address_or_an_outage(void **state)
{
    struct error err = refusal_of((struct org_answer){200, "<html>log in", "text/html", false});

    (void)state;
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_non_null(strstr(err.message, "PGFORCE_SF_LOGIN_URL"));
    err = refusal_of((struct org_answer){404, "<html>", "text/html", false});
    assert_int_equal(err.kind, ERROR_CONFIG);
    err = refusal_of((struct org_answer){503, "<html>", "text/html", false});
    assert_int_equal(err.kind, ERROR_RETRY);
    err = refusal_of((struct org_answer){200, "{\"access_token\":\"x\"", NULL, true});
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void an_instance_elsewhere_over_plain_http_gets_no_token(void **state)
{
    struct error err = refusal_of((struct org_answer){
        200, "{\"access_token\":\"x\",\"instance_url\":\"http://example.com\"}", NULL, false});

    (void)state;
    assert_int_equal(err.kind, ERROR_CONFIG);
    err = refusal_of((struct org_answer){
        200, "{\"access_token\":\"x\",\"instance_url\":\"https://a.b/path\"}", NULL, false});
    assert_int_equal(err.kind, ERROR_CONFIG);
}

static void addresses_are_https_or_on_this_machine(void **state)
{
    (void)state;
    assert_true(sf_grant_url_is_fit("https://x.my.salesforce.com", false));
    assert_true(sf_grant_url_is_fit("http://127.0.0.1:80", true));
    assert_false(sf_grant_url_is_fit("http://127.0.0.1:80", false));
    assert_false(sf_grant_url_is_fit("http://example.com", true));
    assert_false(sf_grant_url_is_fit("https://user@example.com", true));
    assert_false(sf_grant_url_is_fit("https://example.com/x", true));
    assert_false(sf_grant_url_is_fit("https://", true));
    assert_false(sf_grant_url_is_fit("ftp://example.com", true));
}

static void the_grant_follows_from_what_is_given(void **state)
{
    static const struct {
        struct sf_credentials given;
        enum sf_grant grant;
    } cases[] = {
        {{.client_id = "i", .client_secret = "s"}, SF_GRANT_CLIENT},
        {{.client_id = "i", .client_secret = "s", .username = "u", .password = "p"},
         SF_GRANT_PASSWORD},
        {{.client_id = "i", .refresh_token = "r"}, SF_GRANT_REFRESH},
        {{.client_id = "i", .username = "u", .jwt_key_file = "f"}, SF_GRANT_JWT},
        {{.access_token = "t", .instance_url = "u", .password = ""}, SF_GRANT_TOKEN},
    };
    static const struct sf_credentials wrong[] = {
        {.client_id = "i"},
        {.access_token = "t"},
        {.refresh_token = "r"},
        {.jwt_key_file = "f"},
        {.username = "u", .password = "p"},
        {0},
    };
    struct error err = {0};
    enum sf_grant grant;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(sf_grant_choose(&cases[i].given, &grant, &err));
        assert_int_equal(grant, cases[i].grant);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(sf_grant_choose(&wrong[i], &grant, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.message, "PGFORCE_SF_"));
    }
}

static void a_given_token_is_tried_at_once_and_cannot_be_renewed(void **state)
{
    static const struct org_answer script[] = {
        {200, "{\"identity\":\"https://x/id/" ORG_ID "/" USER_ID "\"}", NULL, false}, EXPIRED};
    struct scripted_server *server = ORG(script);
    struct sf_credentials credentials = {.access_token = "given", .instance_url = server->url};
    struct sf_session *session;
    struct sf_call call = {.method = "GET", .path = "/one"};
    struct error err = {0};

    (void)state;
    assert_true(sf_session_open(&credentials, NULL, &session, &err));
    assert_string_equal(sf_session_organisation_id(session), ORG_ID);
    assert_string_equal(sf_session_access_token(session), "given");
    assert_false(sf_request_one(session, &call, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.message, "PGFORCE_SF_ACCESS_TOKEN"));
    sf_call_done(&call);
    sf_session_close(session);
    server_free(server);
}

static void a_new_refresh_token_takes_the_place_of_the_old(void **state)
{
    static const struct org_answer script[] = {
        {200, "{\"access_token\":\"a\",\"instance_url\":\"@\",\"refresh_token\":\"second\"}", NULL,
         false},
        TOKEN("b")};
    struct scripted_server *server = ORG(script);
    struct sf_credentials credentials = {
        .login_url = server->url, .client_id = "c", .refresh_token = "first"};
    struct sf_session *session;
    struct error err = {0};

    (void)state;
    assert_true(sf_session_open(&credentials, NULL, &session, &err));
    assert_string_equal(sf_session_refresh_token(session), "second");
    assert_true(sf_session_renew(session, &err));
    sf_session_close(session);
    server_stop(server);
    assert_int_equal(count_of(server->received, "refresh_token=first"), 1);
    assert_int_equal(count_of(server->received, "refresh_token=second"), 1);
    server_free(server);
}

struct verdict {
    struct org_answer answer;
    enum sf_fate fate;
    enum sf_outcome outcome;
    enum error_kind kind;
};

static void each_answer_has_its_fate_outcome_and_kind(void **state)
{
    static const struct verdict verdicts[] = {
        {{204, "", NULL, false}, SF_ANSWERED, SF_OUTCOME_SUCCESS, ERROR_NONE},
        {{200, "Id\n", "text/csv", false}, SF_ANSWERED, SF_OUTCOME_SUCCESS, ERROR_NONE},
        {{200, "{\"a\":", NULL, false}, SF_IN_DOUBT, SF_OUTCOME_UNKNOWN, ERROR_RETRY},
        {{200, "{}", NULL, true}, SF_IN_DOUBT, SF_OUTCOME_UNKNOWN, ERROR_RETRY},
        {{200, "<html>", "text/html", false}, SF_IN_DOUBT, SF_OUTCOME_UNKNOWN, ERROR_RETRY},
        {{404, "<html>", "text/html", false}, SF_NOT_DONE, SF_OUTCOME_TRANSIENT, ERROR_RETRY},
        {{503, "<html>", "text/html", false}, SF_NOT_DONE, SF_OUTCOME_TRANSIENT, ERROR_RETRY},
        {{500, "<html>", "text/html", false}, SF_IN_DOUBT, SF_OUTCOME_TRANSIENT, ERROR_RETRY},
        {{302, "", NULL, false}, SF_NOT_DONE, SF_OUTCOME_TRANSIENT, ERROR_RETRY},
        {{403, "[{\"errorCode\":\"REQUEST_LIMIT_EXCEEDED\",\"message\":\"TotalRequests\"}]", NULL,
          false},
         SF_NOT_DONE,
         SF_OUTCOME_LIMIT,
         ERROR_RETRY},
        {{400, "[{\"errorCode\":\"INVALID_FIELD\",\"message\":\"x\"}]", NULL, false},
         SF_NOT_DONE,
         SF_OUTCOME_SCHEMA,
         ERROR_CONFIG},
        {{400, "[]", NULL, false}, SF_NOT_DONE, SF_OUTCOME_UNKNOWN, ERROR_RETRY},
        {{500, "[{\"errorCode\":\"UNKNOWN_EXCEPTION\",\"message\":\"x\"}]", NULL, false},
         SF_IN_DOUBT,
         SF_OUTCOME_TRANSIENT,
         ERROR_RETRY},
    };
    enum { COUNT = sizeof(verdicts) / sizeof(verdicts[0]) };
    struct org_answer script[COUNT + 2] = {TOKEN("t")};
    size_t used = 1;
    bool has_looked = false;
    struct sf_session *session;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        script[used++] = verdicts[i].answer;
        /* Where the organisation is now is asked of the token address, once in a minute. */
        if (!has_looked && verdicts[i].answer.status == 404)
            script[used++] = (struct org_answer)TOKEN("u");
        has_looked = has_looked || verdicts[i].answer.status == 404;
    }
    struct scripted_server *server = ORG(script);
    assert_true(org_open(server, &session, &err));
    for (size_t i = 0; i < COUNT; i++) {
        struct sf_call call = {.method = "GET", .path = "/q?secret-value"};
        err = (struct error){0};
        assert_int_equal(sf_request_one(session, &call, &err), verdicts[i].kind == ERROR_NONE);
        assert_int_equal(call.fate, verdicts[i].fate);
        assert_int_equal(call.outcome, verdicts[i].outcome);
        assert_int_equal(err.kind, verdicts[i].kind);
        assert_null(strstr(err.message, "secret-value"));
        if (verdicts[i].kind != ERROR_NONE && !verdicts[i].answer.is_cut)
            assert_int_equal(call.retry_after_s, 7);
        sf_call_done(&call);
    }
    sf_session_close(session);
    server_free(server);
}

static void the_limit_of_the_organisation_is_told_from_the_apps(void **state)
{
    struct sf_limits limits = {0};

    (void)state;
    assert_true(
        sf_answer_limits("per-app-api-usage=17/250(appName=x); api-usage=18/5000", &limits));
    assert_int_equal(limits.used, 18);
    assert_true(sf_answer_limits("api-usage=25/100; per-app-api-usage=17/250(appName=x)", &limits));
    assert_int_equal(limits.max, 100);
    assert_false(sf_answer_limits("per-app-api-usage=17/250", &limits));
    assert_false(sf_answer_limits("api-usage=", &limits));
    assert_false(sf_answer_limits("", &limits));
}

static void unusable_settings_are_refused_before_anything_is_sent(void **state)
{
    struct sf_credentials credentials = {
        .login_url = "http://example.com", .client_id = "i", .client_secret = "s"};
    struct sf_session *session;
    struct error err = {0};

    (void)state;
    assert_false(sf_session_open(&credentials, NULL, &session, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.message, "PGFORCE_SF_LOGIN_URL"));
    credentials.login_url = "https://127.0.0.1:1";
    assert_false(sf_session_open(&credentials, &(struct sf_session_options){.api_version = "60"},
                                 &session, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_false(sf_session_open(
        &credentials, &(struct sf_session_options){.client_name = "a\r\nX: y"}, &session, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_false(sf_session_open(&credentials, NULL, &session, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
}

/* Turns base64url into base64 that OpenSSL reads. */
static int decode(const char *text, size_t length, unsigned char *out)
{
    char padded[1024];
    size_t used = 0;

    for (; used < length; used++)
        padded[used] = text[used] == '-' ? '+' : text[used] == '_' ? '/' : text[used];
    size_t pads = (4 - length % 4) % 4;
    for (size_t i = 0; i < pads; i++)
        padded[used++] = '=';
    return EVP_DecodeBlock(out, (unsigned char *)padded, (int)used) - (int)pads;
}

static void an_assertion_is_signed_with_the_key(void **state)
{
    struct sf_jwt_claims claims = {"client", "user@x", "https://login", 1000};
    char path[] = "/tmp/pgforce-key-XXXXXX";
    EVP_PKEY *key = EVP_RSA_gen(2048);
    FILE *file = fdopen(mkstemp(path), "w");
    struct buf out BUF_AUTO = {0};
    struct error err = {0};
    unsigned char bytes[1024] = {0};

    (void)state;
    buf_init(&out, 10000);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    assert_true(sf_jwt_sign(&claims, path, &out, &err));
    unlink(path);
    const char *middle = strchr(out.data, '.') + 1;
    const char *last = strrchr(out.data, '.');
    decode(middle, (size_t)(last - middle), bytes);
    assert_non_null(strstr((char *)bytes, "\"sub\":\"user@x\""));
    assert_non_null(strstr((char *)bytes, "\"exp\":1000"));
    int signature_bytes = decode(last + 1, strlen(last + 1), bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, bytes, (size_t)signature_bytes,
                                      (unsigned char *)out.data, (size_t)(last - out.data)),
                     1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    assert_false(sf_jwt_sign(&claims, "/nonexistent", &out, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_false(sf_jwt_sign(&claims, "/dev/null", &out, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_knows_its_organisation_and_sends_its_token),
        cmocka_unit_test(writes_say_when_they_run_no_assignment_rules),
        cmocka_unit_test(an_expired_token_is_renewed_once_for_all_calls),
        cmocka_unit_test(a_token_refused_twice_is_not_a_loop),
        cmocka_unit_test(another_organisation_after_signing_in_again_is_refused),
        cmocka_unit_test(a_refused_sign_in_names_the_setting_and_no_secret),
        cmocka_unit_test(a_page_instead_of_a_token_is_a_wrong_address_or_an_outage),
        cmocka_unit_test(an_instance_elsewhere_over_plain_http_gets_no_token),
        cmocka_unit_test(addresses_are_https_or_on_this_machine),
        cmocka_unit_test(the_grant_follows_from_what_is_given),
        cmocka_unit_test(a_given_token_is_tried_at_once_and_cannot_be_renewed),
        cmocka_unit_test(a_new_refresh_token_takes_the_place_of_the_old),
        cmocka_unit_test(each_answer_has_its_fate_outcome_and_kind),
        cmocka_unit_test(the_limit_of_the_organisation_is_told_from_the_apps),
        cmocka_unit_test(unusable_settings_are_refused_before_anything_is_sent),
        cmocka_unit_test(an_assertion_is_signed_with_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
