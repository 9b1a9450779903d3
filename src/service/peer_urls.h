/* The peer URLs of a member as a request takes them: checked as the Go client checks them (the contract, section
 * 1.12), sent as the user wrote them. */
#ifndef ETCD__SERVICE_PEER_URLS_H
#define ETCD__SERVICE_PEER_URLS_H

#include <etcd3/error.h>

/** Clear it at first. */
typedef struct etcd__peer_urls {
    etcd_bytes *items; /* the bytes are the caller's */
    size_t n;
} etcd__peer_urls;

/** Checks the URLs and lists them. ETCD_ERR_MEMBER_BAD_URLS, ETCD_ERR_ARGUMENT for a NULL, ETCD_ERR_NO_MEMORY. */
int etcd__peer_urls_load(etcd__peer_urls *urls, const char *const *strings, size_t n, etcd_error *err);

void etcd__peer_urls_free(etcd__peer_urls *urls);

#endif
