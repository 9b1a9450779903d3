/* See dial.h.
 *
 * When an address has connected, the others rest: those that were connecting begin anew if the owner goes on. */
#include "net/dial.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/resolve.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ATTEMPT_DELAY (250 * ETCD__MS) /* RFC 8305, section 5 */

/* One address: not tried yet, connecting (poll != NULL), failed, or given to the owner. */
struct attempt {
    etcd__dial *dial;
    etcd__poll *poll;
    bool begun;
    etcd__address address;
};

struct etcd__dial {
    etcd__loop *loop;
    const etcd__target *target;
    etcd__dial_fn *done;
    void *arg;
    int64_t timeout_ns;
    int64_t until;          /* the same as a time */
    etcd__resolve *resolve; /* while the name is looked up */
    struct attempt *attempts;
    size_t n_attempts, n_begun, n_connecting;
    etcd__timer deadline;
    etcd__timer stagger; /* begins the next attempt though the last is still connecting */
    etcd__task begin;    /* an attempt, out of the caller's stack */
    etcd_error why;      /* reasons so far, joined */
};

static void free_dial(etcd__dial *dial)
{
    etcd__resolve_cancel(dial->resolve);
    etcd__loop_timer_stop(dial->loop, &dial->deadline);
    etcd__loop_timer_stop(dial->loop, &dial->stagger);
    etcd__list_remove(&dial->begin.node);
    for (size_t i = 0; i < dial->n_attempts; i++)
        etcd__poll_close(dial->attempts[i].poll, false);
    etcd__free(dial->attempts);
    etcd__free(dial);
}

static void fail(etcd__dial *dial)
{
    etcd__dial_fn *done = dial->done;
    void *arg = dial->arg;
    etcd_error why = dial->why;

    free_dial(dial);
    done(arg, NULL, NULL, &why);
}

static void succeed(struct attempt *attempt)
{
    etcd__dial *dial = attempt->dial;
    etcd__poll *poll = attempt->poll;
    etcd__address address = attempt->address;

    attempt->poll = NULL;
    etcd__loop_timer_stop(dial->loop, &dial->deadline);
    etcd__loop_timer_stop(dial->loop, &dial->stagger);
    for (size_t i = 0; i < dial->n_attempts; i++) {
        struct attempt *other = &dial->attempts[i];

        if (other->poll == NULL)
            continue;
        etcd__poll_close(other->poll, false);
        other->poll = NULL;
        other->begun = false;
        dial->n_begun--;
    }
    dial->n_connecting = 0;
    dial->done(dial->arg, poll, &address, NULL); /* may free it */
}

static void log_address(const etcd__dial *dial, const etcd__address *address)
{
    char text[ETCD__ADDRESS_TEXT];

    if (!etcd__log_wants(dial->target->log, ETCD__LOG_DEBUG))
        return;
    etcd__address_text(address, text);
    etcd__log_write(dial->target->log, ETCD__LOG_DEBUG, "%s: connecting to %s (%zu of %zu)", dial->target->label, text,
                    dial->n_begun, dial->n_attempts);
}

/* Adds a reason; the first one's code stays. */
static void add_reason(etcd__dial *dial, const etcd_error *reason)
{
    size_t len = strlen(dial->why.message);

    if (dial->why.code == ETCD_OK)
        dial->why = *reason;
    else
        (void)snprintf(dial->why.message + len, sizeof dial->why.message - len, "; %s", reason->message);
    if (etcd__dial_has_more(dial))
        etcd__log_write(dial->target->log, ETCD__LOG_DEBUG, "%s: %s", dial->target->label, reason->message);
}

static void add_errno(etcd__dial *dial, const etcd__address *address, int system_errno)
{
    char text[ETCD__ADDRESS_TEXT];
    etcd_error reason;

    etcd__address_text(address, text);
    (void)etcd__socket_fail(&reason, "connect", text, system_errno);
    add_reason(dial, &reason);
}

/* Two sockets of one machine that connect to each other's port at the same moment get connected, and a socket that happens to get
 * the port it connects to as its own gets connected to itself: nobody listens there. */
static bool connected_to_itself(int fd, const etcd__address *address)
{
    etcd__address own = {.len = sizeof own.as};

    if (address->as.any.sa_family == AF_UNIX || getsockname(fd, &own.as.any, &own.len) < 0)
        return false;
    if (address->as.any.sa_family == AF_INET)
        return own.as.in.sin_port == address->as.in.sin_port && own.as.in.sin_addr.s_addr == address->as.in.sin_addr.s_addr;
    return own.as.in6.sin6_port == address->as.in6.sin6_port &&
           memcmp(&own.as.in6.sin6_addr, &address->as.in6.sin6_addr, sizeof own.as.in6.sin6_addr) == 0;
}

/* The outcome of a connect that has ended, as an errno value. */
static int connect_result(int fd, const etcd__address *address)
{
    etcd__address peer = {.len = sizeof peer.as};
    int result = etcd__socket_error(fd);

    if (result != 0)
        return result;
    if (getpeername(fd, &peer.as.any, &peer.len) < 0)
        return errno;
    return connected_to_itself(fd, address) ? ECONNREFUSED : 0;
}

static void begin_next(etcd__dial *dial);

static void end_attempt(struct attempt *attempt, int system_errno)
{
    etcd__dial *dial = attempt->dial;

    add_errno(dial, &attempt->address, system_errno);
    etcd__poll_close(attempt->poll, false);
    attempt->poll = NULL;
    dial->n_connecting--;
}

static void on_connect(void *arg, int events)
{
    struct attempt *attempt = arg;
    int result = connect_result(etcd__poll_fd(attempt->poll), &attempt->address);

    (void)events;
    if (result == 0) {
        succeed(attempt);
        return;
    }
    end_attempt(attempt, result);
    begin_next(attempt->dial);
}

static int start_connect(const etcd__address *address)
{
    int fd = etcd__socket_new(address->as.any.sa_family, SOCK_STREAM, 0);
    int on = 1, system_errno;

    if (fd < 0)
        return -errno;
    if (address->as.any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, &address->as.any, address->len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    system_errno = errno;
    (void)close(fd);
    return -system_errno;
}

/* Begins to connect. A connect that is done at once (unix sockets) is seen as writable in the next wait. */
static bool begin_attempt(struct attempt *attempt)
{
    etcd__dial *dial = attempt->dial;
    etcd_error reason;
    int fd;

    log_address(dial, &attempt->address);
    fd = start_connect(&attempt->address);

    if (fd < 0) {
        add_errno(dial, &attempt->address, -fd);
        return false;
    }
    if (etcd__poll_new(dial->loop, fd, on_connect, attempt, &attempt->poll, &reason) != ETCD_OK) {
        (void)close(fd);
        add_reason(dial, &reason);
        return false;
    }
    dial->n_connecting++;
    if (etcd__poll_want(attempt->poll, ETCD__POLL_WRITE) != ETCD_OK) {
        end_attempt(attempt, ENOMEM);
        return false;
    }
    return true;
}

static struct attempt *take_next(etcd__dial *dial)
{
    struct attempt *attempt = dial->attempts;

    while (attempt->begun)
        attempt++;
    attempt->begun = true;
    dial->n_begun++;
    return attempt;
}

/* Begins the next attempt that does not fail at once. Ends the dial when there is none and nothing is under way. */
static void begin_next(etcd__dial *dial)
{
    etcd__loop_timer_stop(dial->loop, &dial->stagger);
    while (dial->n_begun < dial->n_attempts)
        if (begin_attempt(take_next(dial)))
            break;
    if (dial->n_connecting == 0)
        fail(dial);
    else if (dial->n_begun < dial->n_attempts)
        etcd__loop_timer_start(dial->loop, &dial->stagger, etcd__clock_after(etcd__loop_now(dial->loop), ATTEMPT_DELAY));
}

static void on_begin(void *arg)
{
    begin_next(arg);
}

static void on_stagger(void *arg)
{
    begin_next(arg);
}

static void add_timeout(etcd__dial *dial, const char *verb, const char *what)
{
    etcd_error reason;

    (void)etcd__error_set(&reason, ETCD_ERR_CONNECTION, "%s %s: no answer within %lld ms", verb, what,
                          (long long)(dial->timeout_ns / ETCD__MS));
    add_reason(dial, &reason);
}

static void on_deadline(void *arg)
{
    etcd__dial *dial = arg;

    if (dial->resolve != NULL)
        add_timeout(dial, "resolve", dial->target->host);
    for (size_t i = 0; i < dial->n_attempts; i++) {
        char text[ETCD__ADDRESS_TEXT];

        if (dial->attempts[i].poll == NULL)
            continue;
        etcd__address_text(&dial->attempts[i].address, text);
        add_timeout(dial, "connect", text);
    }
    fail(dial);
}

static int take_addresses(etcd__dial *dial, const etcd__address *addresses, size_t n, etcd_error *err)
{
    dial->attempts = etcd__calloc(n, sizeof *dial->attempts);
    if (dial->attempts == NULL)
        return etcd__error_no_memory(err);
    dial->n_attempts = n;
    for (size_t i = 0; i < n; i++) {
        dial->attempts[i].dial = dial;
        dial->attempts[i].address = addresses[i];
    }
    return ETCD_OK;
}

/* RFC 8305, section 4: the families take turns, beginning with that of the first address. */
static void interleave(etcd__address *addresses, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        sa_family_t last = addresses[i - 1].as.any.sa_family;
        size_t other = i;
        etcd__address moved;

        while (other < n && addresses[other].as.any.sa_family == last)
            other++;
        if (other == n)
            return;
        moved = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof *addresses);
        addresses[i] = moved;
    }
}

static void on_resolved(void *arg, etcd__address *addresses, size_t n, const etcd_error *why)
{
    etcd__dial *dial = arg;
    etcd_error err;

    dial->resolve = NULL;
    if (addresses == NULL) {
        add_reason(dial, why);
        fail(dial);
        return;
    }
    etcd__log_write(dial->target->log, ETCD__LOG_DEBUG, "%s: %s has %zu address%s", dial->target->label, dial->target->host, n,
                    n == 1 ? "" : "es");
    interleave(addresses, n);
    if (take_addresses(dial, addresses, n, &err) != ETCD_OK) {
        etcd__free(addresses);
        add_reason(dial, &err);
        fail(dial);
        return;
    }
    etcd__free(addresses);
    begin_next(dial);
}

static int find_addresses(etcd__dial *dial, etcd_error *err)
{
    const etcd__target *target = dial->target;
    etcd__address address;
    int rc = ETCD_OK;

    if (target->kind == ETCD__TARGET_UNIX)
        rc = etcd__address_unix(&address, target->path, err);
    else if (!etcd__address_numeric(&address, target->host, target->port))
        return etcd__resolve_start(dial->loop, target->host, target->port, on_resolved, dial, &dial->resolve, err);
    if (rc == ETCD_OK)
        rc = take_addresses(dial, &address, 1, err);
    if (rc == ETCD_OK)
        etcd__loop_defer(dial->loop, &dial->begin);
    return rc;
}

int etcd__dial_start(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, etcd__dial_fn *done, void *arg,
                     etcd__dial **out, etcd_error *err)
{
    etcd__dial *dial = etcd__calloc(1, sizeof *dial);
    int rc;

    *out = NULL;
    if (dial == NULL)
        return etcd__error_no_memory(err);
    *dial = (etcd__dial){.loop = loop, .target = target, .done = done, .arg = arg, .timeout_ns = timeout_ns};
    dial->deadline = (etcd__timer){.fn = on_deadline, .arg = dial};
    dial->stagger = (etcd__timer){.fn = on_stagger, .arg = dial};
    dial->begin = (etcd__task){.fn = on_begin, .arg = dial};
    etcd__list_init(&dial->begin.node);
    rc = find_addresses(dial, err);
    if (rc != ETCD_OK) {
        free_dial(dial);
        return rc;
    }
    dial->until = etcd__clock_after(etcd__clock_monotonic(), timeout_ns);
    etcd__loop_timer_start(loop, &dial->deadline, dial->until);
    *out = dial;
    return ETCD_OK;
}

bool etcd__dial_has_more(const etcd__dial *dial)
{
    return dial->n_begun < dial->n_attempts;
}

void etcd__dial_go_on(etcd__dial *dial, const etcd_error *why)
{
    add_reason(dial, why);
    etcd__loop_timer_start(dial->loop, &dial->deadline, dial->until);
    etcd__loop_defer(dial->loop, &dial->begin);
}

void etcd__dial_cancel(etcd__dial *dial)
{
    if (dial != NULL)
        free_dial(dial);
}
