#include "sandbox/oauth_code.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/base64.h"
#include "sandbox/users.h"
#include "sandbox/xml.h"

enum {
    MAX_CODES = 100,
    CODE_RANDOM_BYTES = 48,
    LIFETIME_S = 15 * 60,
    MAX_PAGE_BYTES = 256 * 1024,
    MAX_URI_BYTES = 2048,
    DIGEST_BYTES = 32,
};

struct code {
    char *text; /* NULL: free */
    char *redirect_uri;
    char *challenge;         /* "" without PKCE */
    bool is_plain;           /* the challenge is the verifier itself */
    struct ids_text user_id; /* who signed in */
    int64_t expires_s;
};

struct oauth_codes {
    struct code list[MAX_CODES]; /* a ring: the oldest gives way */
    size_t next;
};

static const struct oauth_refusal expired = {"invalid_grant", "expired authorization code"};
static const struct oauth_refusal other_redirect = {"redirect_uri_mismatch",
                                                    "redirect_uri must match configuration"};
static const struct oauth_refusal wrong_verifier = {"invalid_grant", "invalid code verifier"};
static const struct oauth_refusal no_secret = {"invalid_client", "invalid client credentials"};

static void forget(struct code *code)
{
    free(code->text);
    free(code->redirect_uri);
    free(code->challenge);
    *code = (struct code){0};
}

struct oauth_codes *oauth_code_new(void)
{
    return memory_alloc(sizeof(struct oauth_codes));
}

void oauth_code_free(struct oauth_codes *codes)
{
    if (codes == NULL)
        return;
    for (size_t i = 0; i < MAX_CODES; i++)
        forget(&codes->list[i]);
    free(codes);
}

/* ---- the request ---- */

/* The parameters of the authorization request: of the URL, or as the page's form sends them back.
 */
struct request {
    struct call *call;
    const struct http_server_pair *params;
    size_t count;
};

static const char *get(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->count; i++)
        if (strcmp(request->params[i].name, name) == 0)
            return request->params[i].value;
    return "";
}

bool oauth_code_is_public(const char *client_id)
{
    return strcmp(client_id, "PlatformCLI") == 0;
}

bool oauth_code_is_client(const struct org *org, const char *client_id)
{
    return strcmp(client_id, org->options.client_id) == 0 || oauth_code_is_public(client_id);
}

/* A mistake that must not be sent to the redirect URI is shown to the user. */
static bool check_request(const struct request *request)
{
    const char *uri = get(request, "redirect_uri");
    const char *problem = NULL;

    if (!oauth_code_is_client(request->call->org, get(request, "client_id")))
        problem = "error=invalid_client_id&error_description=client%20identifier%20invalid";
    else if (strcmp(get(request, "response_type"), "code") != 0)
        problem = "error=unsupported_response_type&error_description=response%20type%20must%20be"
                  "%20code";
    else if (strstr(uri, ":") == NULL || strlen(uri) > MAX_URI_BYTES ||
             strpbrk(uri, "\r\n") != NULL)
        problem = "error=redirect_uri_mismatch&error_description=redirect_uri%20must%20match"
                  "%20configuration";
    if (problem != NULL)
        call_text(request->call, 400, "text/plain;charset=UTF-8", problem);
    return problem == NULL;
}

/* ---- the page ---- */

static void write_hidden(struct buf *page, const struct request *request, const char *name)
{
    buf_printf(page, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    xml_write(page, get(request, name));
    buf_text(page, "\">\n");
}

static void show_page(const struct request *request, const char *problem)
{
    static const char *const kept[] = {"response_type", "client_id",      "redirect_uri",
                                       "state",         "code_challenge", "code_challenge_method",
                                       "scope"};
    struct buf page BUF_AUTO = {0};

    buf_init(&page, MAX_PAGE_BYTES);
    buf_text(&page,
             "<!doctype html>\n<html lang=\"en\"><head><title>Login | Sandbox</title></head>\n"
             "<body><h1>Log in to the sandbox organisation</h1>\n");
    buf_printf(&page, "<p id=\"error\">%s</p>\n", problem);
    buf_text(&page, "<form method=\"post\" action=\"/services/oauth2/authorize\">\n");
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        write_hidden(&page, request, kept[i]);
    buf_text(
        &page,
        "<p><label>Username <input id=\"username\" name=\"username\"></label></p>\n"
        "<p><label>Password <input id=\"password\" name=\"pw\" type=\"password\"></label></p>\n"
        "<p><input id=\"Login\" type=\"submit\" value=\"Log In\"></p>\n</form></body></html>\n");
    call_text(request->call, 200, "text/html;charset=UTF-8", page.data);
}

void oauth_code_page(struct call *call)
{
    struct request request = {
        .call = call, .params = call->request->params, .count = call->request->param_count};

    if (check_request(&request))
        show_page(&request, "");
}

/* ---- codes ---- */

static const char *make_code(const struct request *request)
{
    struct org *org = request->call->org;
    struct code *code = &org->oauth_codes->list[org->oauth_codes->next++ % MAX_CODES];
    unsigned char random[CODE_RANDOM_BYTES];

    if (RAND_bytes(random, sizeof(random)) != 1)
        abort();
    forget(code);
    const char *text =
        arena_printf(request->call->arena,
                     "aPrx%s==", base64_encode_url(request->call->arena, random, sizeof(random)));
    *code = (struct code){
        .text = memory_strdup(text),
        .redirect_uri = memory_strdup(get(request, "redirect_uri")),
        .challenge = memory_strdup(get(request, "code_challenge")),
        .is_plain = strcmp(get(request, "code_challenge_method"), "plain") == 0,
        .user_id = org->user->id,
        .expires_s = org_now(org) + LIFETIME_S,
    };
    return text;
}

void oauth_code_write_encoded(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *text) !=
            NULL)
            buf_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned int)(unsigned char)*text);
}

static void redirect(const struct request *request, const char *code)
{
    const char *uri = get(request, "redirect_uri");
    struct buf url BUF_AUTO = {0};

    buf_init(&url, MAX_PAGE_BYTES);
    buf_printf(&url, "%s%scode=", uri, strchr(uri, '?') != NULL ? "&" : "?");
    oauth_code_write_encoded(&url, code);
    if (*get(request, "state") != '\0') {
        buf_text(&url, "&state=");
        oauth_code_write_encoded(&url, get(request, "state"));
    }
    request->call->response->status = 302;
    call_header(request->call, "Location", arena_strdup(request->call->arena, url.data));
}

void oauth_code_login(struct call *call)
{
    struct request request = {.call = call};

    request.params = http_server_parse_form(call->arena, call->request->body, &request.count);
    if (!check_request(&request))
        return;
    struct user *user = users_find(call->org, get(&request, "username"));
    if (user == NULL || strcmp(get(&request, "pw"), users_text(user, "password")) != 0) {
        show_page(&request, "Please check your username and password.");
        return;
    }
    users_become(call->org, user);
    redirect(&request, make_code(&request));
}

/* ---- turning a code into a session ---- */

static bool proves(struct arena *arena, const struct code *code, const char *verifier)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;

    if (code->is_plain)
        return strcmp(code->challenge, verifier) == 0;
    return EVP_Digest(verifier, strlen(verifier), digest, &size, EVP_sha256(), NULL) == 1 &&
           size == DIGEST_BYTES &&
           strcmp(base64_encode_url(arena, digest, size), code->challenge) == 0;
}

static const struct oauth_refusal *check_code(struct call *call, const struct code *code,
                                              const struct oauth_code_claim *claim)
{
    if (code->expires_s < org_now(call->org))
        return &expired;
    if (strcmp(code->redirect_uri, claim->redirect_uri) != 0)
        return &other_redirect;
    if (*code->challenge != '\0' && !proves(call->arena, code, claim->verifier))
        return &wrong_verifier;
    if (*code->challenge == '\0' && !claim->has_secret)
        return &no_secret;
    return NULL;
}

const struct oauth_refusal *oauth_code_use(struct call *call, const struct oauth_code_claim *claim)
{
    struct oauth_codes *codes = call->org->oauth_codes;

    for (size_t i = 0; i < MAX_CODES; i++) {
        struct code *code = &codes->list[i];

        if (code->text == NULL || strcmp(code->text, claim->code) != 0)
            continue;
        const struct oauth_refusal *refusal = check_code(call, code, claim);
        users_become(call->org, users_find_id(call->org, code->user_id.text));
        forget(code);
        return refusal;
    }
    return &expired;
}
