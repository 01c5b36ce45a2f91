/* sf/events: listening for changes, against an organisation that plays a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scripted_org.h"
#include "sf/events.h"

#define CHANNEL "/data/AccountChangeEvent"
#define HANDSHAKE                                                                                  \
    {                                                                                              \
        200, "[{\"channel\":\"/meta/handshake\",\"clientId\":\"c1\",\"successful\":true}]", NULL,  \
            false                                                                                  \
    }
#define SUBSCRIBED                                                                                 \
    {                                                                                              \
        200,                                                                                       \
            "[{\"channel\":\"/meta/subscribe\",\"subscription\":\"" CHANNEL                        \
            "\",\"successful\":true}]",                                                            \
            NULL, false                                                                            \
    }

struct scene {
    struct scripted_server *server;
    struct sf_session *session;
    struct sf_events *events;
    struct sf_events_channel channel;
    struct error err;
};

static struct scene scene_open(const struct org_answer *answers, size_t count)
{
    struct org_answer script[ORG_ANSWERS] = {TOKEN("t")};
    struct scene scene = {.channel = {.name = CHANNEL, .replay_id = 7}};

    memcpy(script + 1, answers, count * sizeof(*answers));
    scene.server = org_start(script, count + 1);
    assert_true(org_open(scene.server, &scene.session, &scene.err));
    scene.events = sf_events_new(scene.session);
    return scene;
}

static void scene_close(struct scene *scene)
{
    sf_events_free(scene->events);
    sf_session_close(scene->session);
    server_free(scene->server);
}

#define SCENE(answers) scene_open((answers), sizeof(answers) / sizeof((answers)[0]))

static bool open_events(struct scene *scene)
{
    return sf_events_open(scene->events, &scene->channel, 1, &scene->err);
}

static void events_come_after_what_is_stored(void **state)
{
    static const struct org_answer script[] = {
        HANDSHAKE,
        SUBSCRIBED,
        {200,
         "[{\"channel\":\"" CHANNEL "\",\"data\":{\"event\":{\"replayId\":8}}},"
         "{\"channel\":\"/meta/connect\",\"successful\":true,"
         "\"advice\":{\"interval\":0,\"timeout\":1000}}]",
         NULL, false}};
    struct scene scene = SCENE(script);
    json_t *told = NULL;

    (void)state;
    assert_true(open_events(&scene));
    assert_int_equal(scene.channel.state, SF_EVENTS_LISTENING);
    assert_true(sf_events_wait(scene.events, &told, &scene.err));
    assert_int_equal(json_array_size(told), 1);
    json_decref(told);
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received, "POST /cometd/60.0 "));
    assert_non_null(strstr(scene.server->received, "{\"replay\":{\"" CHANNEL "\":7}}"));
    assert_int_equal(count_of(scene.server->received, "\"clientId\":\"c1\""), 2);
    scene_close(&scene);
}

static void what_is_no_longer_kept_is_told_as_lost(void **state)
{
    static const struct org_answer script[] = {
        HANDSHAKE,
        {200,
         "[{\"channel\":\"/meta/subscribe\",\"subscription\":\"" CHANNEL
         "\",\"successful\":false,\"error\":\"400::The replayId {7} you provided was invalid.\"}]",
         NULL, false},
        SUBSCRIBED};
    struct scene scene = SCENE(script);

    (void)state;
    assert_true(open_events(&scene));
    assert_int_equal(scene.channel.state, SF_EVENTS_LOST);
    server_stop(scene.server);
    assert_non_null(strstr(scene.server->received, "{\"replay\":{\"" CHANNEL "\":-1}}"));
    scene_close(&scene);
}

static void a_channel_that_is_not_there_is_refused_alone(void **state)
{
    static const struct org_answer script[] = {
        HANDSHAKE,
        {200,
         "[{\"channel\":\"/meta/subscribe\",\"subscription\":\"" CHANNEL
         "\",\"successful\":false,\"error\":\"400::The channel does not exist\"}]",
         NULL, false}};
    struct scene scene = SCENE(script);

    (void)state;
    assert_true(open_events(&scene));
    assert_int_equal(scene.channel.state, SF_EVENTS_REFUSED);
    assert_string_equal(scene.channel.problem, "400::The channel does not exist");
    scene_close(&scene);
}

static void a_token_refused_inside_the_answer_is_renewed_once(void **state)
{
    static const struct org_answer script[] = {
        {200,
         "[{\"channel\":\"/meta/handshake\",\"successful\":false,\"error\":\"403::Handshake "
         "denied\","
         "\"ext\":{\"sfdc\":{\"failureReason\":\"401::Authentication invalid\"}}}]",
         NULL, false},
        TOKEN("t2"),
        HANDSHAKE,
        SUBSCRIBED};
    struct scene scene = SCENE(script);

    (void)state;
    assert_true(open_events(&scene));
    server_stop(scene.server);
    assert_int_equal(count_of(scene.server->received, "POST /services/oauth2/token"), 2);
    assert_int_equal(count_of(scene.server->received, "Bearer t2"), 2);
    scene_close(&scene);
}

static void an_answer_that_is_none_is_an_error_to_be_tried_again(void **state)
{
    static const struct org_answer scripts[][1] = {
        {{200, "{}", NULL, false}},
        {{200, "[]", NULL, false}},
        {{200, "[1,null,{\"channel\":5}]", NULL, false}},
        {{200, "[{\"channel\":\"/meta/handshake\",\"successful\":true}]", NULL, false}},
        {{200, "[{\"channel\":\"/meta/handshake\",\"successful\":true,\"clientId\":9}]", NULL,
          false}},
        {{503, "busy", "text/plain", false}},
        {{200, "[{", NULL, false}},
        {{200, "[", NULL, true}}};

    (void)state;
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct scene scene = scene_open(scripts[i], 1);

        assert_false(open_events(&scene));
        assert_int_equal(scene.err.kind, ERROR_RETRY);
        scene_close(&scene);
    }
}

static void a_connect_that_is_refused_or_unanswered_ends_the_client(void **state)
{
    static const struct org_answer answers[] = {
        {200,
         "[{\"channel\":\"/meta/connect\",\"successful\":false,\"error\":\"403::Unknown client\"}]",
         NULL, false},
        {200, "[{\"channel\":\"" CHANNEL "\",\"data\":{}}]", NULL, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct org_answer script[] = {HANDSHAKE, SUBSCRIBED, answers[i]};
        struct scene scene = SCENE(script);
        json_t *told = (json_t *)&scene;

        assert_true(open_events(&scene));
        assert_false(sf_events_wait(scene.events, &told, &scene.err));
        assert_null(told);
        assert_int_equal(scene.err.kind, ERROR_RETRY);
        scene_close(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_after_what_is_stored),
        cmocka_unit_test(what_is_no_longer_kept_is_told_as_lost),
        cmocka_unit_test(a_channel_that_is_not_there_is_refused_alone),
        cmocka_unit_test(a_token_refused_inside_the_answer_is_renewed_once),
        cmocka_unit_test(an_answer_that_is_none_is_an_error_to_be_tried_again),
        cmocka_unit_test(a_connect_that_is_refused_or_unanswered_ends_the_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
