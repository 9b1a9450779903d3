/* A place in a line: what mutexes and elections have in common.
 *
 * Everybody who stands in the line of a name has a key "<name>/<lease in hex>" there; the oldest, by create revision, is the
 * first. Key, order and transactions are those of the Go client's concurrency package, so that both stand in the same line. */
#ifndef ETCD__RECIPE_LINE_H
#define ETCD__RECIPE_LINE_H

#include "recipe/session.h"

#include <etcd3/types.h>

typedef struct etcd__line etcd__line;
struct etcd__line_op;

typedef void (*etcd__line_fn)(void); /* the program's callback; `deliver` knows its type */

/** What tells a mutex from an election. */
typedef struct etcd__line_kind {
    const char *noun; /* begins messages */
    int not_first;    /* code for leaving or setting when not the first; ETCD_OK: leaving is fine */
    int set_not_first;
    bool values; /* a place has a value */
    void (*deliver)(etcd__line *line, const etcd_error *err, etcd__line_fn done, void *arg);
} etcd__line_kind;

struct etcd__line {
    /* constant */
    const etcd__line_kind *kind;
    etcd_session *session;
    char *key;
    size_t key_len, prefix_len; /* the prefix has the "/" */
    /* the session's lock */
    unsigned refs; /* the handle, operations */
    etcd__callbacks callbacks;
    struct etcd__line_op *active; /* what the program has under way */
    struct etcd__line_op *behind; /* what still tidies up though the program was told of its end; `active` waits for it */
    int64_t token;                /* create revision of the key when it became the first; 0: not first */
    bool held;                    /* as far as the program is concerned */
    etcd_response_header header;  /* of the answer that made it the first */
};

typedef enum etcd__line_what {
    ETCD__LINE_ENTER, /* stand in the line until the first */
    ETCD__LINE_TRY,   /* only if nobody else is there */
    ETCD__LINE_LEAVE,
    ETCD__LINE_SET /* the value of the first */
} etcd__line_what;

typedef struct etcd__line_request {
    etcd__line_what what;
    const char *value;
    size_t value_len;
    const etcd_call_options *call;
} etcd__line_request;

/** Fills a line, the first member of a struct of etcd__malloc that is freed with the last reference. ETCD_ERR_ARGUMENT,
 *  ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY; then it is still the caller's. */
int etcd__line_init(etcd__line *line, const etcd__line_kind *kind, etcd_session *session, const char *name, size_t name_len,
                    etcd_error *err);

/** The handle is freed. */
void etcd__line_free(etcd__line *line);

/** Both forms of an operation. NULL `line` is refused. */
int etcd__line_run(etcd__line *line, const etcd__line_request *request, etcd_error *err);
int etcd__line_start(etcd__line *line, const etcd__line_request *request, etcd__line_fn done, void *arg, etcd_call_id *id,
                     etcd_error *err);

/** As of now. */
bool etcd__line_held(const etcd__line *line);
int64_t etcd__line_token(const etcd__line *line);
void etcd__line_header(const etcd__line *line, etcd_response_header *out);
void etcd__line_if_first(const etcd__line *line, struct etcd_txn *txn);

#endif
