/* The shape of a message table, and the macros that tables are written with. See messages.c for their use.
 *
 * A table is checked where it is written: the kind of a plain field follows from the type of its member, and
 * tests/unit/test_messages.c checks order, offsets, sizes and initial values of all tables. */
/* clang-format off */
#ifndef ETCD__WIRE_TABLE_H
#define ETCD__WIRE_TABLE_H

#include "wire/pb.h"

#include <etcd3/types.h>

/** Where a field's value is. */
typedef enum etcd__pb_shape {
    ETCD__PB_INLINE,  /* the value itself. An inline message is left out when its encoding is empty */
    ETCD__PB_POINTER, /* `const T *`, NULL when absent; messages only */
    ETCD__PB_ARRAY,   /* `const T *` and a count, repeated; numbers are packed */
    ETCD__PB_POINTERS /* `const T *const *` and a count, repeated; messages only */
} etcd__pb_shape;

/** The names of an enum's values, which count from 0 in all of the etcd API. */
typedef struct etcd__pb_enum {
    const char *name; /* as in the .proto file, with its package */
    const char *const *names;
    size_t n_names;
} etcd__pb_enum;

struct etcd__pb_field {
    const char *name;                /* as in the .proto file */
    const etcd__pb_message *message; /* of ETCD__PB_MESSAGE */
    const etcd__pb_enum *values;     /* names of an enum's values; NULL for a number */
    uint16_t tag;                    /* number << 3 | wire type of one value */
    uint16_t offset;                 /* of the member */
    uint16_t count_offset;           /* of the size_t that counts an array */
    uint16_t element_size;           /* bytes of one T */
    uint16_t which_offset;           /* of the int32_t that tells which member of the oneof is set */
    uint8_t which;                   /* its value for this one */
    bool in_oneof;                   /* a member that is set is encoded even when zero */
    uint8_t kind;                    /* etcd__pb_kind */
    uint8_t shape;                   /* etcd__pb_shape */
    uint8_t plain;                   /* bytes of a number or of etcd_bytes in place and in no oneof; else 0 */
};

struct etcd__pb_message {
    const char *name;             /* with its package: "etcdserverpb.RangeRequest" */
    const etcd__pb_field *fields; /* by ascending number */
    const void *initial;          /* a struct with nothing set: all zero but for bytes, which point to "" */
    uint16_t n_fields;
    uint16_t size; /* of the struct */
};

static inline uint32_t etcd__pb_field_number(const etcd__pb_field *field)
{
    return (uint32_t)field->tag >> 3;
}

#define ETCD__PB_TAG(number, wire) (uint16_t)((number) << 3 | (wire))
#define ETCD__PB_MEMBER(T, member) (((T *)0)->member)
#define ETCD__PB_AT(T, member) .offset = offsetof(T, member)

/* The wire type and kind of a plain member follow from its type; any other type is refused by the compiler. */
#define ETCD__PB_WIRE_OF(value) \
    _Generic((value), bool : 0, int32_t : 0, uint32_t : 0, int64_t : 0, uint64_t : 0, etcd_bytes : 2)
#define ETCD__PB_KIND_OF(value)                                                                                        \
    _Generic((value), bool                                                                                             \
             : ETCD__PB_BOOL, int32_t                                                                                  \
             : ETCD__PB_INT32, uint32_t                                                                                \
             : ETCD__PB_UINT32, int64_t                                                                                \
             : ETCD__PB_INT64, uint64_t                                                                                \
             : ETCD__PB_UINT64, etcd_bytes                                                                             \
             : ETCD__PB_BYTES)

#define ETCD__PB_PLAIN(T, number, wire_name, member)                                                                   \
    .name = (wire_name), .tag = ETCD__PB_TAG(number, ETCD__PB_WIRE_OF(ETCD__PB_MEMBER(T, member))),                    \
    .element_size = sizeof ETCD__PB_MEMBER(T, member), ETCD__PB_AT(T, member)
#define ETCD__PB_NESTED(number, wire_name, descriptor) \
    .name = (wire_name), .tag = ETCD__PB_TAG(number, 2), .kind = ETCD__PB_MESSAGE, .message = &etcd__##descriptor##_type

/* A number, bool or bytes member. */
#define ETCD__PB_SCALAR(T, number, wire_name, member)                                                                  \
    {ETCD__PB_PLAIN(T, number, wire_name, member), .kind = ETCD__PB_KIND_OF(ETCD__PB_MEMBER(T, member)),               \
     .plain = sizeof ETCD__PB_MEMBER(T, member)}
/* An etcd_bytes member that is a string on the wire. */
#define ETCD__PB_TEXT(T, number, wire_name, member)                                                                    \
    {ETCD__PB_PLAIN(T, number, wire_name, member), .kind = ETCD__PB_STRING,                                            \
     .plain = sizeof ETCD__PB_MEMBER(T, member)}
/* An int32_t member that is an enum on the wire. */
#define ETCD__PB_ENUM(T, number, wire_name, member, enum_names)                                                        \
    {ETCD__PB_PLAIN(T, number, wire_name, member), .kind = ETCD__PB_INT32, .values = &(enum_names),                    \
     .plain = sizeof ETCD__PB_MEMBER(T, member)}
/* A plain member of a oneof. */
#define ETCD__PB_CHOICE(T, number, wire_name, member, which_member, which_value)                                       \
    {ETCD__PB_PLAIN(T, number, wire_name, member), .kind = ETCD__PB_KIND_OF(ETCD__PB_MEMBER(T, member)),               \
     .in_oneof = true, .which_offset = offsetof(T, which_member), .which = (which_value)}
/* A message member in place. */
#define ETCD__PB_SUB(T, number, wire_name, member, descriptor)                                                         \
    {ETCD__PB_NESTED(number, wire_name, descriptor), .shape = ETCD__PB_INLINE, ETCD__PB_AT(T, member),                 \
     .element_size = sizeof ETCD__PB_MEMBER(T, member)}
/* A pointer to a message, or NULL. */
#define ETCD__PB_OPTIONAL(T, number, wire_name, member, descriptor)                                                    \
    {ETCD__PB_NESTED(number, wire_name, descriptor), .shape = ETCD__PB_POINTER, ETCD__PB_AT(T, member),                \
     .element_size = sizeof *ETCD__PB_MEMBER(T, member)}
/* A pointer to a message that is a member of a oneof, whose `which` is the field's number. */
#define ETCD__PB_ALTERNATIVE(T, number, wire_name, member, descriptor, which_member)                                   \
    {ETCD__PB_NESTED(number, wire_name, descriptor), .shape = ETCD__PB_POINTER, ETCD__PB_AT(T, member),                \
     .element_size = sizeof *ETCD__PB_MEMBER(T, member), .in_oneof = true, .which_offset = offsetof(T, which_member),  \
     .which = (number)}
/* An array of structs. */
#define ETCD__PB_REPEATED(T, number, wire_name, member, descriptor)                                                    \
    {ETCD__PB_NESTED(number, wire_name, descriptor), .shape = ETCD__PB_ARRAY, ETCD__PB_AT(T, member),                  \
     .element_size = sizeof *ETCD__PB_MEMBER(T, member), .count_offset = offsetof(T, n_##member)}
/* An array of pointers to structs. */
#define ETCD__PB_REPEATED_POINTERS(T, number, wire_name, member, descriptor)                                           \
    {ETCD__PB_NESTED(number, wire_name, descriptor), .shape = ETCD__PB_POINTERS, ETCD__PB_AT(T, member),               \
     .element_size = sizeof **ETCD__PB_MEMBER(T, member), .count_offset = offsetof(T, n_##member)}
/* An array of etcd_bytes, of a kind of bytes or string. */
#define ETCD__PB_REPEATED_BYTES(T, number, wire_name, member, bytes_kind)                                              \
    {.name = (wire_name), .tag = ETCD__PB_TAG(number, ETCD__PB_WIRE_OF(*ETCD__PB_MEMBER(T, member))),                  \
     .kind = (bytes_kind), .shape = ETCD__PB_ARRAY, ETCD__PB_AT(T, member), .element_size = sizeof(etcd_bytes),        \
     .count_offset = offsetof(T, n_##member)}
/* An array of int32_t that are enums on the wire, packed. */
#define ETCD__PB_REPEATED_ENUM(T, number, wire_name, member, enum_names)                                               \
    {.name = (wire_name), .tag = ETCD__PB_TAG(number, 0), .kind = ETCD__PB_KIND_OF(*ETCD__PB_MEMBER(T, member)),       \
     .shape = ETCD__PB_ARRAY, ETCD__PB_AT(T, member), .element_size = sizeof(int32_t),                                 \
     .count_offset = offsetof(T, n_##member), .values = &(enum_names)}

#endif
