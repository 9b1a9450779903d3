/* Every table of src/wire/messages.c against protoc, with the definitions in tests/proto: random messages of every type are
 * encoded here and decoded there, and the other way round. All messages of a test travel in one container, so each test starts
 * protoc twice only. */
#include "base/alloc.h"
#include "base/buf.h"
#include "harness/pb_random.h"
#include "harness/pb_text.h"
#include "harness/test.h"
#include "wire/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTAINER "etcd3test.Cases"

static char directory[256];

static int make_directory(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(directory, sizeof directory, "%s/etcd3-protoc-XXXXXX", tmp != NULL && strlen(tmp) < 200 ? tmp : "/tmp");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"cases.proto", "cases.bin", "cases.txt", "from-protoc.bin", "from-protoc.txt", "errors"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(directory);
}

static void write_file(const char *name, const etcd__buf *content)
{
    FILE *file = fopen(path_of(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(content->data, 1, content->len, file), content->len);
    assert_int_equal(fclose(file), 0);
}

static etcd__buf read_file(const char *name)
{
    etcd__buf content = ETCD__BUF_INIT(SIZE_MAX);
    FILE *file = fopen(path_of(name), "rb");
    char block[65536];
    size_t n;

    assert_non_null(file);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        assert_int_equal(etcd__buf_append(&content, block, n), 0);
    fclose(file);
    return content;
}

static void append_text(etcd__buf *out, const char *text)
{
    assert_int_equal(etcd__buf_append(out, text, strlen(text)), 0);
}

/* A message with one repeated field for each type, numbered in the order of etcd__messages from 1. */
static void write_container_definition(void)
{
    etcd__buf out = ETCD__BUF_INIT(SIZE_MAX);
    char line[200];

    append_text(&out, "syntax = \"proto3\";\npackage etcd3test;\n"
                      "import \"auth.proto\";\nimport \"health.proto\";\nimport \"kv.proto\";\n"
                      "import \"rpc.proto\";\nimport \"v3election.proto\";\nimport \"v3lock.proto\";\n"
                      "message Cases {\n");
    for (size_t i = 0; i < etcd__n_messages; i++) {
        snprintf(line, sizeof line, "  repeated %s m%zu = %zu;\n", etcd__messages[i]->name, i + 1, i + 1);
        append_text(&out, line);
    }
    append_text(&out, "}\n");
    write_file("cases.proto", &out);
    etcd__buf_free(&out);
}

static void append_varint(etcd__buf *out, uint64_t value)
{
    uint8_t byte;

    for (; value >= 0x80; value >>= 7) {
        byte = (uint8_t)(value | 0x80);
        assert_int_equal(etcd__buf_append(out, &byte, 1), 0);
    }
    byte = (uint8_t)value;
    assert_int_equal(etcd__buf_append(out, &byte, 1), 0);
}

/* One message, as element of the container's field `number`. */
static void append_encoded(etcd__buf *out, size_t number, const etcd__pb_message *type, const void *message)
{
    const size_t size = etcd__pb_encoded_size(type, message);

    append_varint(out, number << 3 | 2);
    append_varint(out, size);
    assert_int_equal(etcd__buf_reserve(out, size), 0);
    etcd__pb_encode(type, message, out->data + out->len, size);
    out->len += size;
}

static void append_shown(etcd__buf *out, size_t number, const etcd__pb_message *type, const void *message)
{
    char line[40];

    snprintf(line, sizeof line, "m%zu {\n", number);
    append_text(out, line);
    etcd_test_pb_text(out, type, message, 2);
    append_text(out, "}\n");
}

/* protoc --decode or --encode of the container. */
static void run_protoc(const char *mode, const char *in, const char *out)
{
    char command[2048];
    int n = snprintf(command, sizeof command,
                     "protoc --proto_path='%s' --proto_path='%s' --%s=" CONTAINER " cases.proto <'%s/%s' >'%s/%s' 2>'%s/errors'",
                     directory, ETCD3_TEST_PROTO_DIR, mode, directory, in, directory, out, directory);

    assert_in_range(n, 1, sizeof command - 1);
    if (system(command) != 0) {
        etcd__buf errors = read_file("errors");
        fail_msg("protoc --%s: %.*s", mode, (int)errors.len, (const char *)errors.data);
    }
}

/* Where the first difference is, in terms of the container's lines. */
static void assert_same_text(const etcd__buf *ours, const etcd__buf *theirs)
{
    size_t at = 0, line = 0;

    while (at < ours->len && at < theirs->len && ours->data[at] == theirs->data[at])
        at++;
    if (at == ours->len && at == theirs->len)
        return;
    for (line = at; line > 0 && ours->data[line - 1] != '\n';)
        line--;
    fail_msg("text differs at byte %zu of %zu and %zu: ours\n%.200s\nprotoc's\n%.200s", at, ours->len, theirs->len,
             (const char *)ours->data + line, (const char *)theirs->data + line);
}

static uint64_t take_varint(const etcd__buf *in, size_t *at)
{
    uint64_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        assert_true(*at < in->len);
        value |= (uint64_t)(in->data[*at] & 0x7f) << shift;
        if (in->data[(*at)++] < 0x80)
            return value;
    }
}

/* Decodes every message of the container; both its text and its encoding must be what went in. */
static void check_decoded(const etcd__buf *encoded, const etcd__buf *shown)
{
    etcd__buf text = ETCD__BUF_INIT(SIZE_MAX), again = ETCD__BUF_INIT(SIZE_MAX);
    etcd__buf copy = ETCD__BUF_INIT(SIZE_MAX);
    etcd_error err;

    for (size_t at = 0; at < encoded->len;) {
        const size_t number = (size_t)take_varint(encoded, &at) >> 3;
        const size_t len = (size_t)take_varint(encoded, &at);
        const etcd__pb_message *type = etcd__messages[number - 1];
        etcd__arena *arena = etcd__arena_new(1000, SIZE_MAX);
        void *message = etcd__arena_alloc(arena, type->size);

        copy.len = 0;
        assert_int_equal(etcd__buf_append(&copy, encoded->data + at, len), 0);
        assert_int_equal(etcd__buf_reserve(&copy, 1), 0);
        if (etcd__pb_decode(type, copy.data, len, arena, message, &err) != ETCD_OK)
            fail_msg("%s: %s", type->name, err.message);
        append_shown(&text, number, type, message);
        append_encoded(&again, number, type, message);
        etcd__arena_free(arena);
        at += len;
    }
    assert_same_text(&text, shown);
    assert_int_equal(again.len, encoded->len);
    assert_memory_equal(again.data, encoded->data, again.len);
    etcd__buf_free(&text);
    etcd__buf_free(&again);
    etcd__buf_free(&copy);
}

/* `rounds` random messages of every type. */
static void random_cases(uint64_t seed, size_t rounds, unsigned depth, size_t max_bytes, etcd__buf *encoded, etcd__buf *shown)
{
    etcd__random random = {seed};

    for (size_t i = 0; i < etcd__n_messages; i++) {
        const etcd__pb_message *type = etcd__messages[i];

        for (size_t round = 0; round < rounds; round++) {
            etcd__arena *arena = etcd__arena_new(1000, SIZE_MAX);
            void *message = etcd__arena_alloc(arena, type->size);

            etcd_test_pb_random(&random, type, message, arena, depth, max_bytes);
            append_encoded(encoded, i + 1, type, message);
            append_shown(shown, i + 1, type, message);
            etcd__arena_free(arena);
        }
    }
}

static void agree_with_protoc(uint64_t seed, size_t rounds, unsigned depth, size_t max_bytes)
{
    etcd__buf encoded = ETCD__BUF_INIT(SIZE_MAX), shown = ETCD__BUF_INIT(SIZE_MAX);
    etcd__buf their_text, their_bytes;

    if (system("protoc --version >/dev/null 2>&1") != 0)
        skip();
    write_container_definition();
    random_cases(seed, rounds, depth, max_bytes, &encoded, &shown);
    write_file("cases.bin", &encoded);
    write_file("cases.txt", &shown);

    run_protoc("decode", "cases.bin", "from-protoc.txt");
    their_text = read_file("from-protoc.txt");
    assert_same_text(&shown, &their_text);

    run_protoc("encode", "cases.txt", "from-protoc.bin");
    their_bytes = read_file("from-protoc.bin");
    assert_int_equal(their_bytes.len, encoded.len);
    assert_memory_equal(their_bytes.data, encoded.data, encoded.len);
    check_decoded(&their_bytes, &shown);

    etcd__buf_free(&encoded);
    etcd__buf_free(&shown);
    etcd__buf_free(&their_text);
    etcd__buf_free(&their_bytes);
}

static void protoc_agrees_on_small_messages(void **state)
{
    (void)state;
    agree_with_protoc(1, 100, 2, 20);
}

static void protoc_agrees_on_nested_messages(void **state)
{
    (void)state;
    agree_with_protoc(2, 20, 7, 10);
}

static void protoc_agrees_on_large_values(void **state)
{
    (void)state;
    agree_with_protoc(3, 4, 2, 20000);
}

/* What `protoc --decode` says of a field, as it walks through the text of a descriptor set. */
typedef struct field_seen {
    char package[64], message[64], name[64], type[32], type_name[128];
    unsigned number;
    bool repeated;
} field_seen;

/* "name: "x"" or "name: X" of a line, without quotes. */
static bool read_value(const char *line, const char *key, char *value, size_t size)
{
    const size_t key_len = strlen(key);

    line += strspn(line, " ");
    if (strncmp(line, key, key_len) != 0 || strncmp(line + key_len, ": ", 2) != 0)
        return false;
    line += key_len + 2;
    line += *line == '"';
    snprintf(value, size, "%.*s", (int)strcspn(line, "\"\n"), line);
    return true;
}

static const char *wire_name_of(const etcd__pb_field *field)
{
    static const char *const names[] = {"TYPE_BOOL",   "TYPE_INT32", "TYPE_UINT32", "TYPE_INT64",
                                        "TYPE_UINT64", "TYPE_BYTES", "TYPE_STRING", "TYPE_MESSAGE"};

    return field->values != NULL ? "TYPE_ENUM" : names[field->kind];
}

static void check_field(const field_seen *seen)
{
    const etcd__pb_field *field = NULL;
    const etcd__pb_message *type;
    char name[160];

    snprintf(name, sizeof name, "%s.%s", seen->package, seen->message);
    type = etcd__message_find(name);
    if (type == NULL)
        fail_msg("no table for %s", name);
    for (size_t i = 0; i < type->n_fields; i++)
        if (etcd__pb_field_number(&type->fields[i]) == seen->number)
            field = &type->fields[i];
    if (field == NULL)
        fail_msg("%s has no field %u, %s", name, seen->number, seen->name);
    assert_string_equal(field->name, seen->name);
    assert_string_equal(wire_name_of(field), seen->type);
    assert_int_equal(field->shape >= ETCD__PB_ARRAY, seen->repeated);
    if (field->message != NULL)
        assert_string_equal(field->message->name, seen->type_name + 1);
    if (field->values != NULL)
        assert_string_equal(field->values->name, seen->type_name + 1);
}

/* Lines are indented by 2 for each level: file, message, field. */
static size_t check_descriptors(FILE *file)
{
    field_seen seen = {.number = 0};
    char line[512], value[32], field_end[] = "    }\n";
    bool in_field = false;
    size_t fields = 0;

    while (fgets(line, sizeof line, file) != NULL) {
        const size_t indent = strspn(line, " ");

        if (indent == 2)
            read_value(line, "package", seen.package, sizeof seen.package);
        if (indent == 4)
            read_value(line, "name", seen.message, sizeof seen.message);
        if (strcmp(line, "    field {\n") == 0)
            in_field = true, seen.repeated = false, seen.type_name[0] = '\0';
        else if (in_field && strcmp(line, field_end) == 0)
            in_field = false, check_field(&seen), fields++;
        if (!in_field || indent != 6)
            continue;
        read_value(line, "name", seen.name, sizeof seen.name);
        read_value(line, "type", seen.type, sizeof seen.type);
        read_value(line, "type_name", seen.type_name, sizeof seen.type_name);
        if (read_value(line, "number", value, sizeof value))
            seen.number = (unsigned)strtoul(value, NULL, 10);
        if (read_value(line, "label", value, sizeof value))
            seen.repeated = strcmp(value, "LABEL_REPEATED") == 0;
    }
    return fields;
}

/* The tables hold every field of the definitions, with its name, number and type, and no other. */
static void tables_are_complete(void **state)
{
    size_t in_tables = 0;
    FILE *text;

    (void)state;
    if (system("protoc --version >/dev/null 2>&1") != 0)
        skip();
    text = popen("protoc --proto_path='" ETCD3_TEST_PROTO_DIR "' -o /dev/stdout " ETCD3_TEST_PROTO_DIR "/*.proto | "
                 "protoc --decode=google.protobuf.FileDescriptorSet google/protobuf/descriptor.proto",
                 "r");
    assert_non_null(text);
    for (size_t i = 0; i < etcd__n_messages; i++)
        in_tables += etcd__messages[i]->n_fields;
    assert_int_equal(check_descriptors(text), in_tables);
    assert_int_equal(pclose(text), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(protoc_agrees_on_small_messages, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(protoc_agrees_on_nested_messages, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(protoc_agrees_on_large_values, make_directory, remove_directory),
    cmocka_unit_test(tables_are_complete),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
