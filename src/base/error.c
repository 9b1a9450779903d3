/* Error codes, their names and texts, and the mapping of gRPC statuses. All from the X-macros of <etcd3/error.h>. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    int code;
    int grpc_code;
    const char *name;
    const char *text;
    size_t text_len;
};

#define LOCAL_ROW(name, number, text) {number, -1, "ETCD_ERR_" #name, text, sizeof(text) - 1},
#define REMOTE_ROW(name, number, grpc, text) {number, grpc, "ETCD_ERR_" #name, text, sizeof(text) - 1},

static const struct code_row local_rows[] = {ETCD_LOCAL_ERRORS(LOCAL_ROW)};
static const struct code_row grpc_rows[] = {ETCD_GRPC_ERRORS(REMOTE_ROW)};
static const struct code_row server_rows[] = {ETCD_SERVER_ERRORS(REMOTE_ROW)};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* The tables are numbered without gaps from their first row down. */
static const struct code_row *find_row(int code)
{
    int index;

    if (code <= server_rows[0].code) {
        index = server_rows[0].code - code;
        return index < (int)ROWS(server_rows) ? &server_rows[index] : NULL;
    }
    if (code <= grpc_rows[0].code) {
        index = grpc_rows[0].code - code;
        return index < (int)ROWS(grpc_rows) ? &grpc_rows[index] : NULL;
    }
    index = local_rows[0].code - code;
    return index >= 0 && index < (int)ROWS(local_rows) ? &local_rows[index] : NULL;
}

const char *etcd_error_name(int code)
{
    const struct code_row *row = find_row(code);

    if (code == ETCD_OK)
        return "ETCD_OK";
    return row ? row->name : "ETCD_ERR_?";
}

const char *etcd_error_text(int code)
{
    const struct code_row *row = find_row(code);

    if (code == ETCD_OK)
        return "success";
    return row ? row->text : "unknown error code";
}

void etcd__error_clear(etcd_error *err)
{
    if (err == NULL)
        return;
    err->code = ETCD_OK;
    err->grpc_code = -1;
    err->flags = 0;
    err->endpoint[0] = '\0';
    err->message[0] = '\0';
}

int etcd__error_set(etcd_error *err, int code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    etcd__error_clear(err);
    err->code = code;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

int etcd__error_no_memory(etcd_error *err)
{
    return etcd__error_set(err, ETCD_ERR_NO_MEMORY, "%s", etcd_error_text(ETCD_ERR_NO_MEMORY));
}

int etcd__error_system(etcd_error *err, const char *what, int system_errno)
{
    char text[128];

    if (strerror_r(system_errno, text, sizeof text) != 0)
        (void)snprintf(text, sizeof text, "error %d", system_errno);
    return etcd__error_set(err, ETCD_ERR_SYSTEM, "%s: %s", what, text);
}

static const struct code_row *find_server_error(const char *message, size_t len)
{
    for (size_t i = 0; i < ROWS(server_rows); i++)
        if (server_rows[i].text_len == len && memcmp(server_rows[i].text, message, len) == 0)
            return &server_rows[i];
    return NULL;
}

/* Go's own words for a deadline that has passed, which servers 3.4 send as an unknown error where a handler ends with them: the
 * locks and elections. Later ones send the code. */
static const struct code_row *find_go_error(int grpc_code, const char *message, size_t len)
{
    const struct code_row *row = find_row(ETCD_ERR_DEADLINE_EXCEEDED);

    return grpc_code == 2 && row->text_len == len && memcmp(row->text, message, len) == 0 ? row : NULL;
}

int etcd__error_from_status(etcd_error *err, int grpc_code, const char *message, size_t message_len)
{
    const struct code_row *row = find_server_error(message, message_len);

    if (row == NULL)
        row = find_go_error(grpc_code, message, message_len);
    if (row == NULL)
        row = &grpc_rows[grpc_code >= 1 && grpc_code <= (int)ROWS(grpc_rows) ? grpc_code - 1 : 1];
    if (message_len == 0)
        etcd__error_set(err, row->code, "%s", row->text);
    else
        etcd__error_set(err, row->code, "%.*s",
                        (int)(message_len > ETCD_ERROR_MESSAGE_MAX ? ETCD_ERROR_MESSAGE_MAX : message_len), message);
    if (err != NULL) {
        err->grpc_code = grpc_code;
        if (row->grpc_code == 14 || row->code == ETCD_ERR_TOO_MANY_REQUESTS)
            err->flags = ETCD_ERROR_RETRYABLE;
    }
    return row->code;
}
