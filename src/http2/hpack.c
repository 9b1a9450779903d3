/* See hpack.h. A plan is a sequence of
 *
 *     entry                                                   a field of the dictionary, one byte below 0xfe
 *     LITERAL     entry+1, value length (2), value            a field with that entry's name, not to be indexed
 *     LITERAL     0, name length (2), name, value length...   the same with its own name
 *     NEVER       0, as LITERAL                               never to be indexed, also by proxies: a secret
 */
#include "http2/hpack.h"

#include <etcd3/error.h>
#include <string.h>

#define LITERAL 0xfe
#define NEVER 0xff
#define STATIC_ENTRIES 61
#define ENTRY_OVERHEAD 32   /* RFC 7541 4.1 */
#define ENTRY_TEXT_MAX 1024 /* name and value of an entry */
#define MISSED_MAX 4096     /* then the dictionary starts anew */

/* The part of the static table (RFC 7541, appendix A) that requests of ours meet: index, name, value. */
static const struct {
    uint8_t index;
    uint8_t name_len;
    uint8_t value_len; /* 0: only the name matters */
    const char *name, *value;
} static_fields[] = {
    {1, 10, 0, ":authority", ""},  {3, 7, 4, ":method", "POST"},    {4, 5, 0, ":path", ""},        {6, 7, 4, ":scheme", "http"},
    {7, 7, 5, ":scheme", "https"}, {31, 12, 0, "content-type", ""}, {58, 10, 0, "user-agent", ""},
};

void etcd__hpack_init(etcd__hpack *hpack)
{
    memset(hpack, 0, sizeof *hpack);
    hpack->table_max = ETCD__HPACK_TABLE_MAX;
}

/* Forgets the dictionary; the peer's table is emptied by the size update that starts the next block. */
static void clear(etcd__hpack *hpack)
{
    size_t table_max = hpack->table_max, plans = hpack->plans;

    etcd__hpack_init(hpack);
    hpack->table_max = table_max;
    hpack->plans = plans;
    hpack->resize = true;
}

/* Entries stay, for plans refer to them; only their places in the table are gone. */
void etcd__hpack_set_table_size(etcd__hpack *hpack, uint32_t size)
{
    size_t table_max = size < ETCD__HPACK_TABLE_MAX ? size : ETCD__HPACK_TABLE_MAX;

    if (table_max == hpack->table_max)
        return;
    hpack->table_max = table_max;
    hpack->table_used = hpack->n_inserted = 0;
    hpack->resize = true;
    for (size_t i = 0; i < hpack->n_entries; i++)
        hpack->entries[i].order = 0;
}

/* The last 8 bytes, or all. */
static uint64_t load_tail(const char *data, size_t len)
{
    uint64_t word = 0;

    if (len >= sizeof word) {
        memcpy(&word, data + len - sizeof word, sizeof word);
        return word;
    }
    for (size_t i = 0; i < len; i++)
        word = word << 8 | (uint8_t)data[i];
    return word;
}

/* The ends of the name and the value tell the fields of requests apart well enough; what collides is compared. */
static uint32_t hash_of(const etcd__h2_header *header)
{
    uint64_t hash = load_tail(header->value, header->value_len) ^ (uint64_t)header->value_len << 56;

    if (header->name_len > 0)
        hash += (uint64_t)header->name_len << 8 | (uint8_t)header->name[header->name_len - 1];
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

static bool equal(const etcd__hpack *hpack, const etcd__hpack_entry *entry, const etcd__h2_header *header)
{
    const char *text = hpack->text + entry->offset;

    return entry->name_len == header->name_len && entry->value_len == header->value_len &&
           memcmp(text + entry->name_len, header->value, header->value_len) == 0 &&
           memcmp(text, header->name, header->name_len) == 0;
}

static void set_static(etcd__hpack_entry *entry, const etcd__h2_header *header)
{
    for (size_t i = 0; i < sizeof static_fields / sizeof static_fields[0]; i++) {
        if (static_fields[i].name_len != header->name_len || memcmp(static_fields[i].name, header->name, header->name_len) != 0)
            continue;
        entry->static_name = static_fields[i].index;
        if (static_fields[i].value_len == header->value_len && header->value_len > 0 &&
            memcmp(static_fields[i].value, header->value, header->value_len) == 0)
            entry->static_field = static_fields[i].index;
    }
}

/* A new entry, or NULL when there is no room. */
static etcd__hpack_entry *add(etcd__hpack *hpack, const etcd__h2_header *header, uint32_t hash)
{
    uint8_t *bucket = &hpack->buckets[hash % ETCD__HPACK_BUCKETS];
    etcd__hpack_entry *entry = &hpack->entries[hpack->n_entries];

    if (hpack->n_entries == ETCD__HPACK_ENTRIES || header->name_len + header->value_len > ENTRY_TEXT_MAX ||
        header->name_len + header->value_len > sizeof hpack->text - hpack->text_len) {
        hpack->missed++;
        return NULL;
    }
    memset(entry, 0, sizeof *entry);
    entry->hash = hash;
    entry->name_len = (uint16_t)header->name_len;
    entry->value_len = (uint16_t)header->value_len;
    entry->offset = (uint16_t)hpack->text_len;
    entry->next = *bucket;
    set_static(entry, header);
    memcpy(hpack->text + hpack->text_len, header->name, header->name_len);
    memcpy(hpack->text + hpack->text_len + header->name_len, header->value, header->value_len);
    hpack->text_len += header->name_len + header->value_len;
    *bucket = (uint8_t)++hpack->n_entries;
    return entry;
}

/* The dictionary's entry for a field; a new one when it was seen before. */
static const etcd__hpack_entry *find(etcd__hpack *hpack, const etcd__h2_header *header)
{
    uint32_t hash = hash_of(header);
    uint8_t *seen = &hpack->seen[hash % ETCD__HPACK_BUCKETS], mark = (uint8_t)(hash >> 24 | 1);

    for (uint8_t i = hpack->buckets[hash % ETCD__HPACK_BUCKETS]; i != 0; i = hpack->entries[i - 1].next)
        if (hpack->entries[i - 1].hash == hash && equal(hpack, &hpack->entries[i - 1], header))
            return &hpack->entries[i - 1];
    if (*seen != mark) {
        *seen = mark;
        return NULL;
    }
    return add(hpack, header, hash);
}

static bool equal_name(const etcd__hpack *hpack, const etcd__hpack_entry *entry, const etcd__h2_header *header)
{
    return entry->name_len == header->name_len && memcmp(hpack->text + entry->offset, header->name, header->name_len) == 0;
}

/* The entry that was made for the name of a field whose value varies. */
static const etcd__hpack_entry *find_name(etcd__hpack *hpack, const etcd__h2_header *name, const uint8_t *last)
{
    uint32_t hash;

    if (*last != 0 && equal_name(hpack, &hpack->entries[*last - 1], name))
        return &hpack->entries[*last - 1];
    hash = hash_of(name);
    for (uint8_t i = hpack->buckets[hash % ETCD__HPACK_BUCKETS]; i != 0; i = hpack->entries[i - 1].next)
        if (hpack->entries[i - 1].hash == hash && equal_name(hpack, &hpack->entries[i - 1], name))
            return &hpack->entries[i - 1];
    return NULL;
}

static uint8_t *put_text(uint8_t *plan, const char *text, size_t len)
{
    *plan++ = (uint8_t)(len >> 8);
    *plan++ = (uint8_t)len;
    memcpy(plan, text, len);
    return plan + len;
}

static uint8_t *plan_literal(const etcd__h2_header *header, size_t name_entry, uint8_t *plan)
{
    *plan++ = header->never_index ? NEVER : LITERAL;
    *plan++ = (uint8_t)name_entry;
    if (name_entry == 0)
        plan = put_text(plan, header->name, header->name_len);
    return put_text(plan, header->value, header->value_len);
}

static uint8_t *plan_field(etcd__hpack *hpack, const etcd__h2_header *header, etcd__hpack_last *last, uint8_t *plan)
{
    etcd__h2_header name = {.name = header->name, .name_len = header->name_len, .value = ""};
    const etcd__hpack_entry *entry;

    if (header->never_index)
        return plan_literal(header, 0, plan);
    if (last->entry != 0 && equal(hpack, &hpack->entries[last->entry - 1], header)) {
        *plan++ = (uint8_t)(last->entry - 1);
        return plan;
    }
    entry = header->varying ? find_name(hpack, &name, &last->entry) : find(hpack, header);
    if (entry != NULL) {
        last->entry = (uint8_t)(entry - hpack->entries + 1);
        last->name = header->constant ? header->name : NULL;
        last->value = header->value;
    }
    if (header->varying && entry != NULL)
        return plan_literal(header, last->entry, plan);
    if (header->varying)
        entry = add(hpack, header, hash_of(&name));
    if (entry == NULL)
        return plan_literal(header, 0, plan);
    *plan++ = (uint8_t)(entry - hpack->entries);
    return plan;
}

size_t etcd__hpack_prepare(etcd__hpack *hpack, const etcd__h2_header *headers, size_t n_headers, uint8_t *plan)
{
    etcd__hpack_last spare = {0};
    uint8_t *end = plan;

    if (hpack->missed > MISSED_MAX && hpack->plans == 0)
        clear(hpack);
    for (size_t i = 0; i < n_headers; i++) {
        etcd__hpack_last *last = i < ETCD__HPACK_LAST ? &hpack->last[i] : &spare;

        if (headers[i].constant && last->name == headers[i].name && last->value == headers[i].value)
            *end++ = (uint8_t)(last->entry - 1);
        else
            end = plan_field(hpack, &headers[i], last, end);
    }
    hpack->plans++;
    return (size_t)(end - plan);
}

/* An integer with a prefix of `bits` bits (RFC 7541 5.1) below the bits of `first`; at most 4 bytes for what occurs here. */
static uint8_t *put_int(uint8_t *out, uint8_t first, unsigned bits, size_t value)
{
    size_t most = ((size_t)1 << bits) - 1;

    if (value < most) {
        *out++ = (uint8_t)(first | value);
        return out;
    }
    *out++ = (uint8_t)(first | most);
    for (value -= most; value >= 128; value >>= 7)
        *out++ = (uint8_t)(value | 128);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_string(uint8_t *out, const void *data, size_t len)
{
    out = put_int(out, 0, 7, len);
    memcpy(out, data, len);
    return out + len;
}

static size_t table_index(const etcd__hpack *hpack, const etcd__hpack_entry *entry)
{
    return STATIC_ENTRIES + 1 + (hpack->n_inserted - entry->order);
}

static size_t name_index(const etcd__hpack *hpack, const etcd__hpack_entry *entry)
{
    if (entry->static_name)
        return entry->static_name;
    return entry->order ? table_index(hpack, entry) : 0;
}

/* Not one of the static table: put_known() has taken those. */
static uint8_t *put_entry(etcd__hpack *hpack, etcd__hpack_entry *entry, uint8_t *out)
{
    const char *name = hpack->text + entry->offset;
    size_t size = (size_t)entry->name_len + entry->value_len + ENTRY_OVERHEAD;

    if (entry->order)
        return put_int(out, 0x80, 7, table_index(hpack, entry));
    if (size <= hpack->table_max - hpack->table_used) {
        out = put_int(out, 0x40, 6, entry->static_name);
        hpack->table_used += size;
        entry->order = (uint16_t)++hpack->n_inserted;
    } else {
        out = put_int(out, 0, 4, entry->static_name);
    }
    if (!entry->static_name)
        out = put_string(out, name, entry->name_len);
    return put_string(out, name + entry->name_len, entry->value_len);
}

static size_t take_length(const uint8_t **plan)
{
    size_t len = (size_t)(*plan)[0] << 8 | (*plan)[1];

    *plan += 2;
    return len;
}

static uint8_t *put_literal(const etcd__hpack *hpack, const uint8_t **plan, uint8_t first, uint8_t *out)
{
    const etcd__hpack_entry *entry = **plan ? &hpack->entries[**plan - 1] : NULL;
    size_t index = entry ? name_index(hpack, entry) : 0, len;

    ++*plan;
    out = put_int(out, first, 4, index);
    if (entry == NULL) {
        len = take_length(plan);
        out = put_string(out, *plan, len);
        *plan += len;
    } else if (index == 0) {
        out = put_string(out, hpack->text + entry->offset, entry->name_len);
    }
    len = take_length(plan);
    out = put_string(out, *plan, len);
    *plan += len;
    return out;
}

/* Fields that the peer's table holds already, in one byte each: mostly all of them. */
static uint8_t *put_known(const etcd__hpack *hpack, const uint8_t **plan, const uint8_t *end, uint8_t *out)
{
    while (*plan < end && **plan < LITERAL) {
        const etcd__hpack_entry *entry = &hpack->entries[**plan];
        size_t index = entry->static_field ? entry->static_field : table_index(hpack, entry);

        if ((entry->order == 0 && entry->static_field == 0) || index >= 127)
            break;
        *out++ = (uint8_t)(0x80 | index);
        ++*plan;
    }
    return out;
}

static uint8_t *put_field(etcd__hpack *hpack, const uint8_t **plan, uint8_t *out)
{
    uint8_t code = *(*plan)++;

    if (code < LITERAL)
        return put_entry(hpack, &hpack->entries[code], out);
    return put_literal(hpack, plan, code == NEVER ? 0x10 : 0, out);
}

int etcd__hpack_encode(etcd__hpack *hpack, const uint8_t *plan, size_t plan_len, etcd__buf *out)
{
    const uint8_t *end = plan + plan_len;
    uint8_t *to;
    int rc;

    hpack->plans--;
    while (plan < end) {
        /* A field is no longer than what the plan and one entry hold, with a few bytes of lengths. */
        rc = etcd__buf_reserve(out, (size_t)(end - plan) + ENTRY_TEXT_MAX + 32);
        if (rc < 0)
            return rc;
        to = out->data + out->len;
        if (hpack->resize) {
            to = put_int(to, 0x20, 5, 0);
            to = put_int(to, 0x20, 5, hpack->table_max);
            hpack->resize = false;
        }
        to = put_known(hpack, &plan, end, to);
        if (plan < end)
            to = put_field(hpack, &plan, to);
        out->len = (size_t)(to - out->data);
    }
    return ETCD_OK;
}

void etcd__hpack_drop(etcd__hpack *hpack)
{
    hpack->plans--;
}
