/* A c-ares channel on a loop: its sockets and its clock, whatever is asked. Users start queries on `channel`, call
 * etcd__dns_settle() after every call into c-ares, and are told in `progress` when it was called from elsewhere.
 *
 * c-ares tells which of its sockets to watch for what (socket state callback) and when to look again (ares_timeout). Its
 * callbacks may run inside any ares_ function: they should only note results. Its sockets are ours
 * (ares_set_socket_functions): made close-on-exec at once, written to without SIGPIPE. Owned by the loop's driving thread. */
#ifndef ETCD__NET_DNS_H
#define ETCD__NET_DNS_H

#include "net/loop.h"
#include "net/socket.h"

#include <ares.h>

typedef struct etcd__dns {
    etcd__loop *loop;
    ares_channel channel;
    bool no_memory;       /* c-ares could not be served: its queries may never end */
    etcd__address server; /* the last that answered; its length is 0 before */
    void (*progress)(void *arg);
    void *arg;
    etcd__list sockets; /* of struct watched */
    etcd__timer timer;  /* when c-ares wants to look again */
} etcd__dns;

/** Opens a channel in a cleared struct. Reads the system's configuration, so a changed resolv.conf takes effect.
 *  `progress` runs after c-ares was given something to do. ETCD_ERR_NO_MEMORY, ETCD_ERR_SYSTEM. */
int etcd__dns_open(etcd__dns *dns, etcd__loop *loop, void (*progress)(void *arg), void *arg, etcd_error *err);

/** Looks again when c-ares wants to. After every call into c-ares, while a query is under way. */
void etcd__dns_settle(etcd__dns *dns);

/** Room for what etcd__dns_server() writes. */
#define ETCD__DNS_SERVER (ETCD__ADDRESS_TEXT + 4)

/** " on 127.0.0.1:53", the server that has answered, for messages; "" when none has. */
const char *etcd__dns_server(const etcd__dns *dns, char out[ETCD__DNS_SERVER]);

/** ares_strerror(), but a server that has answered was contacted: c-ares says otherwise when all it gave was a failure. */
const char *etcd__dns_strerror(const etcd__dns *dns, int status);

/** Ends all queries: their callbacks run with ARES_EDESTRUCTION. Also for a struct that was only cleared, or not opened
 *  successfully. */
void etcd__dns_close(etcd__dns *dns);

#endif
