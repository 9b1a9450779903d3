/* What a command of etcd3ctl is: its name, its flags, its texts, and the function that does it.
 *
 * Each command is a constant `cli_command` in the file of its family; commands.c lists them all. Parsing, help, man pages and
 * shell completion are driven by these tables alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli cli;

typedef enum cli_flag_type {
    CLI_BOOL,
    CLI_INT, /* 64 bits; "0x10", "0b1" and "0o7" are understood */
    CLI_UINT,
    CLI_STRING,
    CLI_STRINGS, /* comma-separated, may be repeated */
    CLI_DURATION /* as Go writes it: "1.5s", "100ms"; in nanoseconds */
} cli_flag_type;

typedef struct cli_flag {
    const char *name;
    const char *usage;   /* one line of help */
    const char *initial; /* the default as one would write it; NULL: false, 0 or empty */
    cli_flag_type type;
    char shorthand; /* 0: none */
} cli_flag;

/** Groups of commands in the help, in its order. */
typedef enum cli_group { CLI_KV, CLI_CLUSTER, CLI_CONCURRENCY, CLI_AUTH, CLI_UTILITY, CLI_ADDITIONAL, CLI_N_GROUPS } cli_group;

typedef struct cli_command {
    const char *name;        /* with its parent's: "lease", "lease grant" */
    const char *usage;       /* behind "etcdctl " and the parent's name: "grant <ttl>" */
    const char *summary;     /* one line, for lists */
    const char *description; /* what its own help begins with; NULL: the summary */
    const char *examples;    /* lines of help; NULL: none */
    cli_group group;         /* of a command without a parent */
    const cli_flag *flags;   /* in any order; help sorts them */
    size_t n_flags;
    const struct cli_command *also_flags_of; /* a parent whose flags are this command's, too; NULL: none */
    bool plain_usage;   /* neither "[flags]" behind the usage nor, of a parent, "Use ..." behind the summary */
    int (*run)(cli *c); /* returns the exit status; NULL: a mere parent, whose help is shown */
} cli_command;

/** The flags of a command's table: `.flags = x, .n_flags = ...` in one. */
#define CLI_FLAGS(array) .flags = (array), .n_flags = sizeof(array) / sizeof *(array)

/** All commands. */
extern const cli_command *const cli_commands[];
extern const size_t cli_n_commands;

/** The flags that every command takes. */
extern const cli_flag cli_global_flags[];
extern const size_t cli_n_global_flags;

#endif
