/* Pieces of the format "fields". See print.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <inttypes.h>

void cli_fields_int(FILE *out, const char *name, int64_t value)
{
    fprintf(out, "\"%s\" : %" PRId64 "\n", name, value);
}

void cli_fields_uint(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "\"%s\" : %" PRIu64 "\n", name, value);
}

void cli_fields_id(FILE *out, const cli *c, const char *name, uint64_t id)
{
    fprintf(out, c->hex ? "\"%s\" : %" PRIx64 "\n" : "\"%s\" : %" PRIu64 "\n", name, id);
}

void cli_fields_quoted(FILE *out, const char *name, etcd_bytes value)
{
    fprintf(out, "\"%s\" : ", name);
    cli_quote(out, value.data, value.len);
    putc('\n', out);
}

void cli_fields_bool(FILE *out, const char *name, bool value)
{
    cli_fields_text(out, name, value ? "true" : "false");
}

void cli_fields_text(FILE *out, const char *name, const char *value)
{
    fprintf(out, "\"%s\" : %s\n", name, value);
}

void cli_fields_header(FILE *out, const cli *c, const etcd_response_header *header)
{
    cli_fields_id(out, c, "ClusterID", header->cluster_id);
    cli_fields_id(out, c, "MemberID", header->member_id);
    if (header->revision > 0)
        cli_fields_int(out, "Revision", header->revision);
    cli_fields_uint(out, "RaftTerm", header->raft_term);
}

void cli_fields_kv(FILE *out, const cli *c, const char *prefix, const etcd_kv *kv)
{
    fprintf(out, "\"%sKey\" : ", prefix);
    cli_quote(out, kv->key.data, kv->key.len);
    fprintf(out, "\n\"%sCreateRevision\" : %" PRId64 "\n", prefix, kv->create_revision);
    fprintf(out, "\"%sModRevision\" : %" PRId64 "\n", prefix, kv->mod_revision);
    fprintf(out, "\"%sVersion\" : %" PRId64 "\n", prefix, kv->version);
    fprintf(out, "\"%sValue\" : ", prefix);
    cli_quote(out, kv->value.data, kv->value.len);
    fprintf(out, c->hex ? "\n\"%sLease\" : %016" PRIx64 "\n" : "\n\"%sLease\" : %" PRId64 "\n", prefix, kv->lease);
}
