/* Runs a fuzz target without libFuzzer, as a normal test: every file of the corpus, every truncation of it, and a fixed number
 * of mutations (the same in every run).
 *
 * usage: <program> CORPUS_DIRECTORY [MUTATIONS] */
#include "fuzz/fuzz.h"

#include "base/random.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MUTATIONS 20000
#define INPUT_MAX 65536
#define MAX_TRUNCATED 512 /* longer inputs are cut at every byte of their start only */

typedef struct input {
    uint8_t *data;
    size_t len;
} input;

typedef struct corpus {
    input *inputs;
    size_t n;
} corpus;

/* Copies to a block of exactly the input's size, so that the sanitizers see a read past its end. */
static void run(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static bool read_input(const char *path, input *in)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return false;
    in->data = malloc(INPUT_MAX);
    if (in->data == NULL)
        abort();
    in->len = fread(in->data, 1, INPUT_MAX, file);
    fclose(file);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All files of the directory, sorted by name: the order of a directory must not change the mutations. */
static corpus read_corpus(const char *directory)
{
    corpus all = {NULL, 0};
    char **names = NULL, path[4096];
    size_t n_names = 0;
    struct dirent *entry;
    DIR *dir = opendir(directory);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        names = realloc(names, (n_names + 1) * sizeof *names);
        if (names == NULL || (names[n_names++] = strdup(entry->d_name)) == NULL)
            abort();
    }
    if (dir != NULL)
        closedir(dir);
    if (n_names > 0)
        qsort(names, n_names, sizeof *names, by_name);
    all.inputs = calloc(n_names + 1, sizeof *all.inputs);
    if (all.inputs == NULL)
        abort();
    for (size_t i = 0; i < n_names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (read_input(path, &all.inputs[all.n]))
            all.n++;
        free(names[i]);
    }
    free(names);
    return all;
}

static void run_truncations(const input *in)
{
    for (size_t len = 0; len < in->len && len < MAX_TRUNCATED; len++)
        run(in->data, len);
}

/* Changes `data` in one random way; `other` is an input to splice from. Returns the new length. */
static size_t mutate(etcd__random *random, uint8_t *data, size_t len, const input *other)
{
    static const uint8_t interesting[] = {0x00, 0x01, 0x0a, 0x20, 0x2c, 0x3a, 0x7f, 0x80, 0xfe, 0xff};
    size_t at = len > 0 ? (size_t)etcd__random_below(random, len) : 0, n;

    switch (etcd__random_below(random, len > 0 ? 6 : 1)) {
    case 0: /* insert */
        if (len == INPUT_MAX)
            return len;
        memmove(data + at + 1, data + at, len - at);
        data[at] = (uint8_t)etcd__random_next(random);
        return len + 1;
    case 1: /* flip a bit */
        data[at] ^= (uint8_t)(1u << etcd__random_below(random, 8));
        return len;
    case 2:
        data[at] = interesting[etcd__random_below(random, sizeof interesting)];
        return len;
    case 3: /* delete a run */
        n = (size_t)etcd__random_below(random, len - at) + 1;
        memmove(data + at, data + at + n, len - at - n);
        return len - n;
    case 4: /* repeat a run */
        n = (size_t)etcd__random_below(random, len - at) + 1;
        n = n < INPUT_MAX - len ? n : INPUT_MAX - len;
        memmove(data + at + n, data + at, len - at);
        return len + n;
    default: /* go on with the tail of another input */
        n = other->len < INPUT_MAX - at ? other->len : INPUT_MAX - at;
        memcpy(data + at, other->data + (other->len - n), n);
        return at + n;
    }
}

static void run_mutations(const corpus *all, unsigned long count)
{
    static uint8_t data[INPUT_MAX];
    etcd__random random = {42};

    for (unsigned long i = 0; i < count; i++) {
        const input *base = &all->inputs[etcd__random_below(&random, all->n)];
        size_t len = base->len;
        uint64_t changes = 1 + etcd__random_below(&random, 4);

        memcpy(data, base->data, len);
        while (changes-- > 0)
            len = mutate(&random, data, len, &all->inputs[etcd__random_below(&random, all->n)]);
        run(data, len);
    }
}

int main(int argc, char **argv)
{
    unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : DEFAULT_MUTATIONS;
    corpus all;

    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY [MUTATIONS]\n", argv[0]);
        return 2;
    }
    all = read_corpus(argv[1]);
    if (all.n == 0) {
        fprintf(stderr, "%s: %s holds no inputs\n", argv[0], argv[1]);
        return 1;
    }
    run(NULL, 0);
    for (size_t i = 0; i < all.n; i++) {
        run(all.inputs[i].data, all.inputs[i].len);
        run_truncations(&all.inputs[i]);
    }
    run_mutations(&all, mutations);
    printf("%zu inputs, their truncations and %lu mutations\n", all.n, mutations);
    for (size_t i = 0; i < all.n; i++)
        free(all.inputs[i].data);
    free(all.inputs);
    return 0;
}
