/* Elections. See <etcd3/election.h>; what candidates do is in line.c and line_steps.c, observers are in observer.c.
 *
 * GO-DIFF: a resumed election looks at "<name>/", as others do; the Go client leaves out the "/". */
#include <etcd3/election.h>

#include "base/alloc.h"
#include "base/error.h"
#include "recipe/line.h"

#include <string.h>

struct etcd_election {
    etcd__line line; /* first */
};

static void deliver(etcd__line *line, const etcd_error *err, etcd__line_fn done, void *arg)
{
    ((etcd_election_fn)done)((etcd_election *)(void *)line, err, arg);
}

static const etcd__line_kind kind = {.noun = "election",
                                     .not_first = ETCD_OK,
                                     .set_not_first = ETCD_ERR_ELECTION_NOT_LEADER,
                                     .values = true,
                                     .deliver = deliver};

static etcd__line *line_of(etcd_election *election)
{
    return election ? &election->line : NULL;
}

static const etcd__line *const_line_of(const etcd_election *election)
{
    return election ? &election->line : NULL;
}

int etcd_election_new(etcd_session *session, const char *name, size_t name_len, etcd_election **out, etcd_error *err)
{
    etcd_election *election;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    election = etcd__malloc(sizeof *election);
    if (election == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__line_init(&election->line, &kind, session, name, name_len, err);
    if (rc < 0) {
        etcd__free(election);
        return rc;
    }
    etcd__error_clear(err);
    *out = election;
    return ETCD_OK;
}

static int check_resume(const etcd__line *line, const char *key, size_t key_len, int64_t revision, etcd_error *err)
{
    if (key == NULL || key_len < line->prefix_len || memcmp(key, line->key, line->prefix_len) != 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "invalid key \"%.*s\", it should have prefix \"%.*s\"",
                               key ? (int)(key_len < 100 ? key_len : 100) : 0, key ? key : "",
                               (int)(line->prefix_len < 100 ? line->prefix_len : 100), line->key);
    if (revision <= 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the revision of a leader's key is positive");
    return ETCD_OK;
}

int etcd_election_resume(etcd_session *session, const char *name, size_t name_len, const char *key, size_t key_len,
                         int64_t revision, etcd_election **out, etcd_error *err)
{
    etcd_election *election;
    char *copy = NULL;
    int rc = etcd_election_new(session, name, name_len, out, err);

    if (rc < 0)
        return rc;
    election = *out;
    *out = NULL;
    rc = check_resume(&election->line, key, key_len, revision, err);
    if (rc == ETCD_OK && (copy = etcd__strndup(key, key_len)) == NULL)
        rc = etcd__error_no_memory(err);
    if (rc < 0) {
        etcd_election_free(election);
        return rc;
    }
    etcd__free(election->line.key);
    election->line.key = copy;
    election->line.key_len = key_len;
    election->line.token = revision;
    election->line.held = true;
    *out = election;
    return ETCD_OK;
}

static int run(etcd_election *election, const etcd__line_request *request, etcd_error *err)
{
    return etcd__line_run(line_of(election), request, err);
}

static int start(etcd_election *election, const etcd__line_request *request, etcd_election_fn done, void *arg, etcd_call_id *id,
                 etcd_error *err)
{
    return etcd__line_start(line_of(election), request, (etcd__line_fn)done, arg, id, err);
}

int etcd_election_campaign(etcd_election *election, const char *value, size_t value_len, const etcd_call_options *call,
                           etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_ENTER, value, value_len, call};

    return run(election, &request, err);
}

int etcd_election_campaign_async(etcd_election *election, const char *value, size_t value_len, const etcd_call_options *call,
                                 etcd_election_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_ENTER, value, value_len, call};

    return start(election, &request, done, arg, id, err);
}

int etcd_election_proclaim(etcd_election *election, const char *value, size_t value_len, const etcd_call_options *call,
                           etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_SET, value, value_len, call};

    return run(election, &request, err);
}

int etcd_election_proclaim_async(etcd_election *election, const char *value, size_t value_len, const etcd_call_options *call,
                                 etcd_election_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_SET, value, value_len, call};

    return start(election, &request, done, arg, id, err);
}

int etcd_election_resign(etcd_election *election, const etcd_call_options *call, etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_LEAVE, NULL, 0, call};

    return run(election, &request, err);
}

int etcd_election_resign_async(etcd_election *election, const etcd_call_options *call, etcd_election_fn done, void *arg,
                               etcd_call_id *id, etcd_error *err)
{
    const etcd__line_request request = {ETCD__LINE_LEAVE, NULL, 0, call};

    return start(election, &request, done, arg, id, err);
}

bool etcd_election_leads(const etcd_election *election)
{
    return etcd__line_held(const_line_of(election));
}

int64_t etcd_election_token(const etcd_election *election)
{
    return etcd__line_token(const_line_of(election));
}

void etcd_election_if_leader(const etcd_election *election, etcd_txn *txn)
{
    etcd__line_if_first(const_line_of(election), txn);
}

const char *etcd_election_key(const etcd_election *election, size_t *len)
{
    if (len != NULL)
        *len = election ? election->line.key_len : 0;
    return election ? election->line.key : NULL;
}

void etcd_election_header(const etcd_election *election, etcd_response_header *out)
{
    etcd__line_header(const_line_of(election), out);
}

void etcd_election_free(etcd_election *election)
{
    if (election != NULL)
        etcd__line_free(&election->line);
}

/* --- who leads -------------------------------------------------------------------------------- */

static int prefix_of(const char *name, size_t name_len, char **out, etcd_error *err)
{
    char *prefix = NULL;

    if (name == NULL && name_len > 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the name is NULL");
    prefix = etcd__malloc(name_len + 1);
    if (prefix == NULL)
        return etcd__error_no_memory(err);
    if (name_len > 0)
        memcpy(prefix, name, name_len);
    prefix[name_len] = '/';
    *out = prefix;
    return ETCD_OK;
}

static int no_leader(etcd_error *err)
{
    return etcd__error_set(err, ETCD_ERR_ELECTION_NO_LEADER, "%s", etcd_error_text(ETCD_ERR_ELECTION_NO_LEADER));
}

int etcd_election_leader(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                         etcd_get_response **out, etcd_error *err)
{
    etcd_get_response *response;
    char *prefix = NULL;
    int rc;

    if (out != NULL)
        *out = NULL;
    rc = prefix_of(name, name_len, &prefix, err);
    if (rc < 0)
        return rc;
    rc = etcd_get(client, prefix, name_len + 1, ETCD_GET(.pick = ETCD_PICK_FIRST_CREATE, .call = call), &response, err);
    etcd__free(prefix);
    if (rc == ETCD_OK && response->n_kvs == 0)
        rc = no_leader(err);
    if (rc == ETCD_OK && out != NULL)
        *out = response;
    else
        etcd_response_free(response);
    return rc;
}

typedef struct asking {
    etcd_get_fn done;
    void *arg;
} asking;

static void on_leader(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    const asking question = *(asking *)arg;
    etcd_error nobody;

    etcd__free(arg);
    if (response != NULL && response->n_kvs == 0) {
        etcd_response_free(response);
        response = NULL;
        (void)no_leader(&nobody);
        err = &nobody;
    }
    question.done(client, response, err, question.arg);
}

int etcd_election_leader_async(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                               etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    asking *question;
    char *prefix = NULL;
    int rc;

    if (id != NULL)
        *id = 0;
    if (done == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: this needs a callback");
    rc = prefix_of(name, name_len, &prefix, err);
    if (rc < 0)
        return rc;
    question = etcd__malloc(sizeof *question);
    if (question == NULL) {
        etcd__free(prefix);
        return etcd__error_no_memory(err);
    }
    *question = (asking){done, arg};
    rc = etcd_get_async(client, prefix, name_len + 1, ETCD_GET(.pick = ETCD_PICK_FIRST_CREATE, .call = call), on_leader, question,
                        id, err);
    etcd__free(prefix);
    if (rc < 0)
        etcd__free(question);
    return rc;
}
