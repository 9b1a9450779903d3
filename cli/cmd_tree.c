/* tree: keys as a tree. An additional command: etcdctl has none.
 *
 * Keys are cut at a delimiter, as paths are. All keys of the prefix are read, in pages and without values, before the first line
 * is shown: whether a branch is its parent's last one depends on what follows it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const cli_flag tree_flags[] = {
    {"delimiter", "what separates the parts of a key", "/", CLI_STRING, 0},
    {"depth", "how many levels to show; 0 for all", NULL, CLI_INT, 0},
    {"values", "show the values, too", NULL, CLI_BOOL, 0},
    {"rev", "as of this revision of the store", NULL, CLI_INT, 0},
};

typedef struct node {
    etcd_bytes name;   /* of this part */
    const etcd_kv *kv; /* the key that ends here, or NULL */
    struct node **children;
    size_t n_children;
    size_t n_keys; /* here and below */
} node;

typedef struct tree {
    const cli *c;
    const char *delimiter;
    int64_t depth;
    bool values;
    etcd_get_response **pages;
    size_t n_pages;
    node root;
} tree;

/* -- growing -- */

static node *child_of(node *parent, etcd_bytes name)
{
    node *last = parent->n_children ? parent->children[parent->n_children - 1] : NULL;

    /* keys come in order, so a part that has been seen is the last one */
    if (last && last->name.len == name.len && memcmp(last->name.data, name.data, name.len) == 0)
        return last;
    if ((parent->n_children & (parent->n_children - 1)) == 0)
        parent->children = cli_realloc(parent->children, (parent->n_children ? parent->n_children * 2 : 1) * sizeof(node *));
    last = cli_alloc(sizeof *last);
    last->name = name;
    parent->children[parent->n_children++] = last;
    return last;
}

/* The end of the part at `from`: behind the next delimiter that is not its first bytes. */
static size_t part_end(const tree *t, etcd_bytes key, size_t from)
{
    size_t len = strlen(t->delimiter);

    for (size_t i = from + 1; len > 0 && i + len <= key.len; i++)
        if (memcmp(key.data + i, t->delimiter, len) == 0)
            return i;
    return key.len;
}

static void add_key(tree *t, const etcd_kv *kv)
{
    node *at = &t->root;
    size_t from = 0;

    at->n_keys++;
    do {
        size_t end = part_end(t, kv->key, from);

        at = child_of(at, (etcd_bytes){kv->key.data + from, end - from});
        at->n_keys++;
        from = end;
    } while (from < kv->key.len);
    at->kv = kv;
}

static void free_children(node *parent)
{
    for (size_t i = 0; i < parent->n_children; i++) {
        free_children(parent->children[i]);
        free(parent->children[i]);
    }
    free(parent->children);
}

/* -- showing -- */

static void print_name(const tree *t, const node *n, bool cut)
{
    cli_print_bytes(stdout, t->c, n->name);
    if (n->kv && t->values) {
        fputs(" = ", stdout);
        cli_quote(stdout, n->kv->value.data, n->kv->value.len);
    }
    if (cut)
        printf(" (%zu keys)", n->n_keys);
    putchar('\n');
}

static void print_children(const tree *t, const node *parent, const char *indent, size_t indent_len, int64_t level)
{
    for (size_t i = 0; i < parent->n_children; i++) {
        const node *n = parent->children[i];
        bool last = i + 1 == parent->n_children, cut = n->n_children > 0 && t->depth > 0 && level >= t->depth;
        const char *more = last ? "    " : "\xe2\x94\x82   ";
        char *deeper;

        fwrite(indent, 1, indent_len, stdout);
        fputs(last ? "\xe2\x94\x94\xe2\x94\x80\xe2\x94\x80 " : "\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80 ", stdout);
        print_name(t, n, cut);
        if (n->n_children == 0 || cut)
            continue;
        deeper = cli_alloc(indent_len + strlen(more) + 1);
        memcpy(deeper, indent, indent_len);
        memcpy(deeper + indent_len, more, strlen(more));
        print_children(t, n, deeper, indent_len + strlen(more), level + 1);
        free(deeper);
    }
}

static void read_keys(cli *c, tree *t, const char *prefix)
{
    etcd_client *client = cli_client(c);
    etcd_range *range = NULL;
    etcd_get_response *page = NULL;
    etcd_error err;

    if (etcd_range_open(
            client, prefix, strlen(prefix),
            ETCD_GET(.prefix = true, .keys_only = !t->values, .revision = cli_flag_int(c, "rev"), .call = cli_call(c)), &range,
            &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    for (;;) {
        if (etcd_range_next(range, &page, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        if (!page)
            break;
        t->pages = cli_realloc(t->pages, (t->n_pages + 1) * sizeof(etcd_get_response *));
        t->pages[t->n_pages++] = page;
        for (size_t i = 0; i < page->n_kvs; i++)
            add_key(t, &page->kvs[i]);
    }
    etcd_range_free(range);
}

static int run_tree(cli *c)
{
    const char *prefix = cli_n_args(c) > 0 ? cli_arg(c, 0) : "";
    tree t = {.c = c,
              .delimiter = cli_flag_text(c, "delimiter"),
              .depth = cli_flag_int(c, "depth"),
              .values = cli_flag_bool(c, "values")};

    if (cli_n_args(c) > 1)
        cli_fail(CLI_BAD_ARGS, "tree command needs at most one argument as prefix");
    cli_setup(c);
    if (c->format != CLI_SIMPLE)
        cli_fail_format(c);
    read_keys(c, &t, prefix);
    puts(".");
    print_children(&t, &t.root, "", 0, 1);
    printf("\n%zu keys\n", t.root.n_keys);
    free_children(&t.root);
    for (size_t i = 0; i < t.n_pages; i++)
        etcd_response_free(t.pages[i]);
    free(t.pages);
    return CLI_OK;
}

const cli_command cli_tree = {
    .name = "tree",
    .usage = "tree [options] [prefix]",
    .summary = "Shows keys as a tree",
    .description = "Shows the keys that begin with a prefix (all without one) as a tree, cut into parts at a delimiter.",
    .group = CLI_ADDITIONAL,
    CLI_FLAGS(tree_flags),
    .run = run_tree,
};
