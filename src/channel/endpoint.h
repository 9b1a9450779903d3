/* Endpoint syntax: what a user writes for a member of the cluster, and what is dialed for it (contract, section
 * 1.4).
 *
 *    host:port   http://host:port[/...]   https://host:port[/...]   unix:path   unix://path   unixs:path   unixs://path
 *
 * IPv6 addresses stand in brackets; `unix://` takes a relative path as well as an absolute one, as the Go client
 * does. */
#ifndef ETCD__CHANNEL_ENDPOINT_H
#define ETCD__CHANNEL_ENDPOINT_H

#include "net/stream.h"

#include <etcd3/error.h>
#include <stdbool.h>
#include <stddef.h>

/** What the scheme of an endpoint says about encryption. */
typedef enum etcd__creds {
    ETCD__CREDS_OPTIONAL, /* no scheme, or unix: TLS when the client was given TLS options */
    ETCD__CREDS_PLAIN,    /* http: never TLS */
    ETCD__CREDS_TLS       /* https, unixs: TLS or nothing */
} etcd__creds;

/** Clear it before use; all strings are owned. */
typedef struct etcd__endpoint {
    char *text;      /* as given */
    char *authority; /* for ":authority": "host:port", or the last part of a unix path */
    char *address;   /* host or path that `target` points to */
    etcd__target target;
    etcd__creds creds;
    bool tls; /* what the client connects with; parsing sets it for ETCD__CREDS_TLS only */
} etcd__endpoint;

/** Parses one endpoint, blanks around it allowed. ETCD_ERR_ARGUMENT with a text that names the endpoint and its
 *  fault. */
int etcd__endpoint_parse(const char *text, size_t len, etcd__endpoint *out, etcd_error *err);

/** Frees what the endpoint owns and clears it. NULL, and one that was only cleared, are allowed. */
void etcd__endpoint_free(etcd__endpoint *endpoint);

/** Parses "a,b,c". `*out` is an array of `*n` > 0, for etcd__endpoint_list_free. ETCD_ERR_NO_ENDPOINTS when there is
 *  only blank space, ETCD_ERR_ARGUMENT as above, also for an empty element. */
int etcd__endpoint_list_parse(const char *text, size_t len, etcd__endpoint **out, size_t *n, etcd_error *err);

void etcd__endpoint_list_free(etcd__endpoint *list, size_t n);

/** Whether what is sent there stays on this host: a unix socket, a loopback address, or "localhost". */
bool etcd__endpoint_is_local(const etcd__endpoint *endpoint);

#endif
