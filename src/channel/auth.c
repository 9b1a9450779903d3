/* See auth.h. States: unsettled (no token) -> getting -> settled, and back to unsettled when the server refuses the
 * token. */
#include "channel/auth.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "channel/channel.h"
#include "wire/response.h"

#include <string.h>

#define ATTEMPT_TIMEOUT (10 * ETCD__SECOND)
#define BACKOFF_FIRST (25 * ETCD__MS) /* after a failure that may pass; doubled with each in a row */
#define BACKOFF_MAX ETCD__SECOND
#define BACKOFF_JITTER 0.2

struct etcd__auth {
    struct etcd__channel *channel;
    etcd__loop *loop;
    void (*on_settled)(void *arg, const etcd_error *err);
    void *arg;
    char *user, *password;
    const char *(*token_fn)(void *arg);
    void *token_arg;
    char *token; /* NULL: none */
    uint64_t number;
    bool fixed; /* the program gave the token: there is no other */
    bool settled;
    bool getting;
    etcd__call call; /* Authenticate */
    uint8_t *request;
    size_t request_len;
    etcd__task task; /* asks token_fn, and reports, outside of the caller's stack */
    etcd__random random;
    int64_t backoff; /* 0: the last attempt was no failure that may pass */
};

static void wipe_string(char **string)
{
    if (*string == NULL)
        return;
    etcd__wipe(*string, strlen(*string));
    etcd__free(*string);
    *string = NULL;
}

static void drop_request(etcd__auth *auth)
{
    if (auth->request == NULL)
        return;
    etcd__wipe(auth->request, auth->request_len);
    etcd__free(auth->request);
    auth->request = NULL;
}

/* --- getting a token -------------------------------------------------------------------------- */

static int set_token(etcd__auth *auth, const char *token, size_t len, etcd_error *err)
{
    char *copy = etcd__strndup(token, len);

    if (copy == NULL)
        return etcd__error_no_memory(err);
    wipe_string(&auth->token);
    auth->token = copy;
    auth->number++;
    return ETCD_OK;
}

static void settle(etcd__auth *auth, int rc, const etcd_error *err)
{
    const etcd__log *log = etcd__channel_log(auth->channel);

    if (rc == ETCD_OK)
        etcd__log_write(log, ETCD__LOG_DEBUG, "%s", auth->token ? "got a token" : "the cluster wants no token");
    else if (rc != ETCD_ERR_CLOSED)
        etcd__log_write(log, ETCD__LOG_WARN, "no token: %s", err->message);
    auth->getting = false;
    auth->settled = rc == ETCD_OK;
    if (rc == ETCD_OK || !(err->flags & ETCD_ERROR_RETRYABLE))
        auth->backoff = 0;
    else if (auth->backoff == 0)
        auth->backoff = BACKOFF_FIRST;
    else
        auth->backoff = auth->backoff < BACKOFF_MAX / 2 ? 2 * auth->backoff : BACKOFF_MAX;
    auth->on_settled(auth->arg, rc == ETCD_OK ? NULL : err);
}

static int take_answer(etcd__auth *auth, etcd_error *err)
{
    etcd_authenticate_response *answer;
    uint8_t *body = auth->call.response;
    void *decoded;
    int rc;

    auth->call.response = NULL;
    rc = etcd__response_decode(auth->call.method->response, body, auth->call.response_len, &decoded, err);
    if (rc < 0)
        return rc;
    answer = decoded;
    rc = set_token(auth, answer->token.data, answer->token.len, err);
    etcd__wipe((void *)(uintptr_t)answer->token.data, answer->token.len);
    etcd_response_free(answer);
    return rc;
}

static void on_answer(etcd__call *call)
{
    etcd__auth *auth = ETCD__CONTAINER_OF(call, etcd__auth, call);
    etcd_error err;
    int rc = call->code;

    drop_request(auth);
    if (rc == ETCD_OK) {
        rc = take_answer(auth, &err);
    } else if (call->error != NULL) {
        err = *call->error;
    } else {
        etcd__error_set(&err, rc, "%s", etcd_error_text(rc));
    }
    etcd__free(call->error);
    call->error = NULL;
    if (rc == ETCD_ERR_AUTH_NOT_ENABLED) { /* then calls need no token */
        wipe_string(&auth->token);
        auth->number++;
        rc = ETCD_OK;
    }
    settle(auth, rc, &err);
}

static int encode_request(etcd__auth *auth, etcd_error *err)
{
    const etcd__rpc_method *method = &etcd__rpc_methods[ETCD__RPC_AUTHENTICATE];
    const etcd__authenticate_request request = {
        .name = {auth->user, strlen(auth->user)},
        .password = {auth->password, strlen(auth->password)},
    };
    size_t size = etcd__pb_encoded_size(method->request, &request);
    int64_t now = etcd__clock_monotonic();

    auth->request = etcd__malloc(ETCD__GRPC_PREFIX + size);
    if (auth->request == NULL)
        return etcd__error_no_memory(err);
    auth->request_len = ETCD__GRPC_PREFIX + size;
    etcd__grpc_prefix_write(auth->request, (uint32_t)size);
    etcd__pb_encode(method->request, &request, auth->request + ETCD__GRPC_PREFIX, size);
    memset(&auth->call, 0, sizeof auth->call);
    auth->call.method = method;
    auth->call.body = auth->request;
    auth->call.body_len = auth->request_len;
    auth->call.deadline = etcd__clock_after(now, ATTEMPT_TIMEOUT);
    if (auth->backoff > 0)
        auth->call.retry_at = etcd__clock_after(now, etcd__random_jitter(&auth->random, auth->backoff, BACKOFF_JITTER));
    auth->call.read_only = true; /* a second token does no harm */
    auth->call.without_token = true;
    auth->call.on_done = on_answer;
    return ETCD_OK;
}

static int ask_program(etcd__auth *auth, etcd_error *err)
{
    const char *token = auth->token_fn(auth->token_arg);

    if (token == NULL)
        return etcd__error_set(err, ETCD_ERR_UNAUTHENTICATED, "token_fn gave no token");
    return set_token(auth, token, strlen(token), err);
}

static void get_token(void *arg)
{
    etcd__auth *auth = arg;
    etcd_error err;
    int rc;

    if (auth->token_fn != NULL) {
        rc = ask_program(auth, &err);
        settle(auth, rc, &err);
        return;
    }
    rc = encode_request(auth, &err);
    if (rc < 0)
        settle(auth, rc, &err);
    else
        etcd__channel_start(auth->channel, &auth->call);
}

void etcd__auth_want(etcd__auth *auth)
{
    if (auth->settled || auth->getting)
        return;
    auth->getting = true;
    etcd__loop_defer(auth->loop, &auth->task);
}

/* --- using it --------------------------------------------------------------------------------- */

bool etcd__auth_settled(const etcd__auth *auth)
{
    return auth->settled;
}

const char *etcd__auth_token(const etcd__auth *auth, size_t *len, uint64_t *number)
{
    *len = auth->token ? strlen(auth->token) : 0;
    *number = auth->number;
    return auth->token ? auth->token : "";
}

bool etcd__auth_is_refusal(int code)
{
    return code == ETCD_ERR_INVALID_AUTH_TOKEN || code == ETCD_ERR_AUTH_OLD_REVISION || code == ETCD_ERR_USER_EMPTY;
}

bool etcd__auth_refused(etcd__auth *auth, uint64_t number)
{
    if (auth->fixed)
        return false;
    if (number == auth->number && auth->settled) {
        auth->settled = false;
        etcd__log_write(etcd__channel_log(auth->channel), ETCD__LOG_DEBUG, "the token was refused: another is needed");
    }
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static int copy_secrets(etcd__auth *auth, const etcd__auth_config *config)
{
    if (config->user != NULL && (auth->user = etcd__strdup(config->user)) == NULL)
        return -1;
    if (config->password != NULL && (auth->password = etcd__strdup(config->password)) == NULL)
        return -1;
    if (config->token != NULL && (auth->token = etcd__strdup(config->token)) == NULL)
        return -1;
    return 0;
}

int etcd__auth_new(const etcd__auth_config *config, struct etcd__channel *channel, etcd__loop *loop,
                   void (*on_settled)(void *arg, const etcd_error *err), void *arg, etcd__auth **out, etcd_error *err)
{
    etcd__auth *auth;

    *out = NULL;
    if (config->user == NULL && config->token == NULL && config->token_fn == NULL)
        return ETCD_OK;
    auth = etcd__calloc(1, sizeof *auth);
    if (auth == NULL)
        return etcd__error_no_memory(err);
    auth->channel = channel;
    auth->loop = loop;
    auth->on_settled = on_settled;
    auth->arg = arg;
    auth->token_fn = config->token_fn;
    auth->token_arg = config->token_arg;
    auth->fixed = auth->settled = config->token != NULL;
    etcd__random_init(&auth->random);
    etcd__list_init(&auth->task.node);
    auth->task.fn = get_token;
    auth->task.arg = auth;
    if (copy_secrets(auth, config) < 0) {
        etcd__auth_free(auth);
        return etcd__error_no_memory(err);
    }
    *out = auth;
    return ETCD_OK;
}

void etcd__auth_free(etcd__auth *auth)
{
    if (auth == NULL)
        return;
    etcd__list_remove(&auth->task.node);
    drop_request(auth);
    wipe_string(&auth->user);
    wipe_string(&auth->password);
    wipe_string(&auth->token);
    etcd__free(auth);
}
