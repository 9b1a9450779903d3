/* Header compression for requests (RFC 7541), the encoder only; nghttp2 decodes.
 *
 * Why not nghttp2's: it never puts ":path" into the table, compresses every literal by Huffman, and copies and lower-cases all
 * fields, which made a third of the cost of a call (docs/performance.md). This one knows what the requests of one connection look
 * like: the same few fields, again and again. So:
 *
 * - Fields that were seen twice get an entry in a dictionary; its entries go into the peer's dynamic table when they are first
 *   sent, and the table is never filled beyond its size: nothing is ever evicted, an entry's place is a matter of counting. When
 * the dictionary is full of what is no longer used it is emptied, and the peer's table with it.
 * - etcd__hpack_prepare() turns fields into a short plan while the caller's strings are at hand; etcd__hpack_encode() turns plans
 * into bytes, in the order in which header blocks are sent. A plan that is never encoded changes nothing. */
#ifndef ETCD__HTTP2_HPACK_H
#define ETCD__HTTP2_HPACK_H

#include "base/buf.h"
#include "http2/session.h"

#define ETCD__HPACK_ENTRIES 96
#define ETCD__HPACK_TABLE_MAX 4096
#define ETCD__HPACK_LAST 16
#define ETCD__HPACK_BUCKETS 256 /* a power of two */

typedef struct etcd__hpack_entry {
    uint32_t hash;
    uint16_t name_len;
    uint16_t value_len;
    uint16_t offset;      /* of name, value in `text` */
    uint8_t next;         /* in the bucket, plus 1; 0: none */
    uint8_t static_name;  /* index in the static table, or 0 */
    uint8_t static_field; /* the same for name and value */
    uint16_t order;       /* the how-manieth insertion into the peer's table; 0: not in it */
} etcd__hpack_entry;

/** What a field was in the last plan. */
typedef struct etcd__hpack_last {
    const char *name, *value; /* of a constant field; NULL: none */
    uint8_t entry;            /* plus 1; 0: none */
} etcd__hpack_last;

typedef struct etcd__hpack {
    etcd__hpack_entry entries[ETCD__HPACK_ENTRIES];
    size_t n_entries;
    uint8_t buckets[ETCD__HPACK_BUCKETS]; /* entry plus 1; 0: none */
    uint8_t seen[ETCD__HPACK_BUCKETS];    /* another part of the hash of a field that was seen once */
    char text[ETCD__HPACK_TABLE_MAX];
    size_t text_len;
    size_t table_max;  /* bytes of the peer's table that we may use */
    size_t table_used; /* as RFC 7541 4.1 counts them */
    size_t n_inserted;
    etcd__hpack_last last[ETCD__HPACK_LAST]; /* of each field of the last plan: the next call mostly has the same */
    size_t plans;                            /* prepared and neither encoded nor dropped */
    size_t missed;                           /* fields that found the dictionary full, since it was last emptied */
    bool resize;                             /* the next block starts with size updates */
} etcd__hpack;

/** An empty encoder for a table of RFC 7541's initial 4,096 bytes. */
void etcd__hpack_init(etcd__hpack *hpack);

/** The peer's SETTINGS_HEADER_TABLE_SIZE. */
void etcd__hpack_set_table_size(etcd__hpack *hpack, uint32_t size);

/** Writes the plan and returns its length, which is less than the size of the fields as RFC 9113 6.5.2 counts them. Names and
 * values are shorter than 64 KiB. Each plan is to be either encoded or dropped. */
size_t etcd__hpack_prepare(etcd__hpack *hpack, const etcd__h2_header *headers, size_t n_headers, uint8_t *plan);

/** Appends the header block. ETCD_ERR_NO_MEMORY, ETCD_ERR_TOO_LARGE: then the encoder is out of step with the peer. */
int etcd__hpack_encode(etcd__hpack *hpack, const uint8_t *plan, size_t plan_len, etcd__buf *out);

/** Forgets a plan. */
void etcd__hpack_drop(etcd__hpack *hpack);

#endif
