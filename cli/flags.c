/* Flags and their values. See flags.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void free_items(cli_flag_value *value)
{
    for (size_t i = 0; i < value->n_items; i++)
        free(value->items[i]);
    free(value->items);
    value->items = NULL;
    value->n_items = 0;
}

static bool read_value(cli_flag_value *value, const char *text, cli_error *error)
{
    bool truth = false;
    int64_t ns;

    switch (value->flag->type) {
    case CLI_BOOL:
        if (!cli_parse_bool(text, &truth, error))
            return false;
        value->number = truth;
        return true;
    case CLI_INT:
        return cli_parse_int(text, 0, &value->number, error);
    case CLI_UINT:
        return cli_parse_uint(text, 0, &value->natural, error);
    case CLI_DURATION:
        if (!cli_parse_duration(text, &ns, error))
            return false;
        value->number = ns;
        return true;
    case CLI_STRINGS:
        if (!value->changed) /* the first one replaces the default, others are added */
            free_items(value);
        return cli_parse_list(text, &value->items, &value->n_items, error);
    default:
        return true;
    }
}

bool cli_flag_assign(cli_flag_value *value, const char *text, cli_error *error)
{
    char *copy;

    if (!read_value(value, text, error))
        return false;
    copy = cli_copy(text, strlen(text));
    free(value->storage);
    value->text = value->storage = copy;
    value->changed = true;
    return true;
}

void cli_flag_set_init(cli_flag_set *set, const cli_flag *flags, size_t n_flags)
{
    cli_error error;

    set->values = cli_alloc(n_flags * sizeof *set->values);
    set->n_values = n_flags;
    for (size_t i = 0; i < n_flags; i++) {
        cli_flag_value *value = &set->values[i];

        value->flag = &flags[i];
        value->text = flags[i].initial ? flags[i].initial : "";
        if (flags[i].initial)
            read_value(value, flags[i].initial, &error);
    }
}

void cli_flag_set_free(cli_flag_set *set)
{
    for (size_t i = 0; i < set->n_values; i++) {
        free_items(&set->values[i]);
        free(set->values[i].storage);
    }
    free(set->values);
    set->values = NULL;
    set->n_values = 0;
}

cli_flag_value *cli_flag_find(const cli_flag_set *set, const char *name, size_t len)
{
    for (size_t i = 0; i < set->n_values; i++) {
        const char *own = set->values[i].flag->name;

        if (strlen(own) == len && memcmp(own, name, len) == 0)
            return &set->values[i];
    }
    return NULL;
}

cli_flag_value *cli_flag_find_short(const cli_flag_set *set, char shorthand)
{
    for (size_t i = 0; i < set->n_values; i++)
        if (set->values[i].flag->shorthand == shorthand)
            return &set->values[i];
    return NULL;
}

void cli_flag_print(FILE *out, const cli_flag_value *value)
{
    char buffer[64];

    switch (value->flag->type) {
    case CLI_BOOL:
        fputs(value->number ? "true" : "false", out);
        break;
    case CLI_INT:
        fprintf(out, "%" PRId64, value->number);
        break;
    case CLI_UINT:
        fprintf(out, "%" PRIu64, value->natural);
        break;
    case CLI_DURATION:
        fputs(cli_format_duration(value->number, buffer, sizeof buffer), out);
        break;
    case CLI_STRINGS:
        putc('[', out);
        for (size_t i = 0; i < value->n_items; i++)
            fprintf(out, "%s%s", i ? "," : "", value->items[i]);
        putc(']', out);
        break;
    default:
        fputs(value->text, out);
    }
}
