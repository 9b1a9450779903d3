/* Why a server cancels a watch, as an error. Servers send the text of an error, or that of a whole gRPC status: "rpc error: code
 * = PermissionDenied desc = etcdserver: permission denied" (the contract, section 1.11). */
#include "service/watch_core.h"

#include "base/error.h"

#include <string.h>

#define FAILED_PRECONDITION 9 /* what the Go client makes of a text that it does not know */

static const char *const code_names[] = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

/* Takes `prefix` off the front of a text. */
static bool skip(etcd_bytes *text, const char *prefix, size_t len)
{
    if (text->len < len || memcmp(text->data, prefix, len) != 0)
        return false;
    text->data += len;
    text->len -= len;
    return true;
}

static int take_code(etcd_bytes *text)
{
    for (size_t i = 1; i < sizeof code_names / sizeof code_names[0]; i++) {
        etcd_bytes rest = *text;

        if (skip(&rest, code_names[i], strlen(code_names[i])) && skip(&rest, " desc = ", 8)) {
            *text = rest;
            return (int)i;
        }
    }
    return FAILED_PRECONDITION;
}

int etcd__watch_reason(etcd_bytes reason, etcd_error *err)
{
    static const char no_prefix[] = "mvcc: required revision has been compacted";
    int code = FAILED_PRECONDITION;

    if (reason.len == 0)
        return etcd__error_set(err, ETCD_ERR_WATCH_CANCELED, "%s (without a reason)", etcd_error_text(ETCD_ERR_WATCH_CANCELED));
    if (skip(&reason, "rpc error: code = ", 18))
        code = take_code(&reason);
    if (reason.len == sizeof no_prefix - 1 && memcmp(reason.data, no_prefix, reason.len) == 0)
        return etcd__error_set(err, ETCD_ERR_COMPACTED, "%s", etcd_error_text(ETCD_ERR_COMPACTED));
    return etcd__error_from_status(err, code, reason.data, reason.len);
}
