/* etcd3ctl: the command line: which command, which flags, which arguments; and what cobra says when it is wrong. */
#include "harness/test.h"

#include "parse.h"

#include <stdlib.h>
#include <string.h>

/* A line of words separated by '|', read with the real table of commands. The test frees `line` and `*words`. */
static cli_parse_result parse(const char *text, cli_line *line, cli_error *error, char **storage)
{
    static char *words[32];
    size_t n = 0;

    error->text[0] = '\0';
    *storage = cli_copy(text, strlen(text));
    for (char *word = *storage; word && *text;) {
        char *bar = strchr(word, '|');

        words[n++] = word;
        if (bar)
            *bar++ = '\0';
        word = bar;
    }
    return cli_parse("etcdctl", cli_commands, cli_n_commands, words, n, line, error);
}

static const cli_flag_value *flag(const cli_line *line, const char *name)
{
    const cli_flag_value *value = cli_flag_find(&line->locals, name, strlen(name));

    return value ? value : cli_flag_find(&line->globals, name, strlen(name));
}

static void check_command(const char *text, const char *command, size_t n_args)
{
    cli_line line;
    cli_error error;
    char *storage;

    assert_int_equal(parse(text, &line, &error, &storage), CLI_PARSED);
    if (command)
        assert_string_equal(line.command->name, command);
    else
        assert_null(line.command);
    assert_int_equal(line.n_args, n_args);
    cli_line_free(&line);
    free(storage);
}

static void check_error(const char *text, cli_parse_result result, const char *expected)
{
    cli_line line;
    cli_error error;
    char *storage;

    assert_int_equal(parse(text, &line, &error, &storage), result);
    assert_string_equal(error.text, expected);
    cli_line_free(&line);
    free(storage);
}

static void check_flag(const char *text, const char *name, const char *value)
{
    cli_line line;
    cli_error error;
    char *storage;

    assert_int_equal(parse(text, &line, &error, &storage), CLI_PARSED);
    assert_true(flag(&line, name)->changed);
    assert_string_equal(flag(&line, name)->text, value);
    cli_line_free(&line);
    free(storage);
}

static void commands_are_found(void **state)
{
    (void)state;
    check_command("", NULL, 0);
    check_command("get|a", "get", 1);
    check_command("lease|grant|10", "lease grant", 1);
    check_command("compact|5", "compaction", 1); /* as long as it is unique */
    check_command("lease|gr|10", "lease grant", 1);
    check_command("t", "txn", 0); /* tree is ours: it makes no command of etcdctl's ambiguous */
    check_command("tr", "tree", 0);
    check_command("lease|nosuch", "lease", 1); /* its help is shown */
    check_command("get|get", "get", 1);
    check_command("put|get|put", "put", 2);
    check_command("--|get", NULL, 1);
}

static void flags_may_come_before_the_command(void **state)
{
    (void)state;
    check_command("-w|json|get|a", "get", 1);
    check_command("--endpoints|x|get|a", "get", 1);
    check_command("--endpoints=x|--hex|get|a", "get", 1);
    check_command("--consistency|s|get|a", "get", 1); /* not known yet, so it takes the next word */
    check_command("get|a|--prefix|b", "get", 2);
    check_command("--prefix=true|get|a", "get", 1);
    check_error("--prefix|get|foo", CLI_BAD_COMMAND, "unknown command \"foo\" for \"etcdctl\"");
}

static void flags_take_their_values(void **state)
{
    (void)state;
    check_flag("get|a|-w|json", "write-out", "json");
    check_flag("get|a|-wjson", "write-out", "json");
    check_flag("get|a|-w=json", "write-out", "json");
    check_flag("get|a|--write-out=json", "write-out", "json");
    check_flag("get|a|--write-out|json", "write-out", "json");
    check_flag("get|-w|json|a|-w|fields", "write-out", "fields"); /* the last one wins */
    check_flag("get|a|--order=", "order", "");
    check_flag("get|a|--order|--prefix", "order", "--prefix");
    check_flag("get|a|--limit=0x10", "limit", "0x10");
    check_flag("txn|-i", "interactive", "true");
    check_flag("get|a|--prefix=0", "prefix", "0");
}

static void lists_grow_and_replace_the_default(void **state)
{
    cli_line line;
    cli_error error;
    char *storage;

    (void)state;
    assert_int_equal(parse("get|a|--endpoints|x,y|--endpoints|z", &line, &error, &storage), CLI_PARSED);
    assert_int_equal(flag(&line, "endpoints")->n_items, 3);
    assert_string_equal(flag(&line, "endpoints")->items[2], "z");
    cli_line_free(&line);
    free(storage);
    assert_int_equal(parse("get|a", &line, &error, &storage), CLI_PARSED);
    assert_int_equal(flag(&line, "endpoints")->n_items, 1);
    assert_string_equal(flag(&line, "endpoints")->items[0], "127.0.0.1:2379");
    assert_true(flag(&line, "command-timeout")->number == 5000000000);
    assert_true(flag(&line, "insecure-transport")->number == 1);
    cli_line_free(&line);
    free(storage);
}

static void two_dashes_end_the_flags(void **state)
{
    cli_line line;
    cli_error error;
    char *storage;

    (void)state;
    assert_int_equal(parse("put|--prev-kv|a|--|-b|--|c", &line, &error, &storage), CLI_PARSED);
    assert_int_equal(line.n_args, 4);
    assert_string_equal(line.args[1], "-b");
    assert_string_equal(line.args[2], "--");
    assert_int_equal(line.dash, 1);
    cli_line_free(&line);
    free(storage);
    check_command("get|-", "get", 1); /* a single dash is an argument */
    check_command("get|", "get", 1);  /* and so is an empty word */
}

static void help_is_a_flag_of_every_command(void **state)
{
    static const char *const lines[] = {"get|-h", "get|--help", "-h|get", "--help", "lease|-h", "get|--help=true"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cli_line line;
        cli_error error;
        char *storage;

        assert_int_equal(parse(lines[i], &line, &error, &storage), CLI_PARSED);
        assert_true(line.help);
        cli_line_free(&line);
        free(storage);
    }
}

static void unknown_commands(void **state)
{
    (void)state;
    check_error("bogus", CLI_BAD_COMMAND, "unknown command \"bogus\" for \"etcdctl\"");
    check_error("gte", CLI_BAD_COMMAND, "unknown command \"gte\" for \"etcdctl\"\n\nDid you mean this?\n\tget\n");
    check_error("a\"b\n", CLI_BAD_COMMAND, "unknown command \"a\\\"b\\n\" for \"etcdctl\"");
    check_error("averyveryveryveryveryveryveryverylongword", CLI_BAD_COMMAND,
                "unknown command \"averyveryveryveryveryveryveryverylongword\" for \"etcdctl\"");
}

static void wrong_flags(void **state)
{
    (void)state;
    check_error("get|--bogus", CLI_BAD_FLAG, "unknown flag: --bogus");
    check_error("get|--bogus=1", CLI_BAD_FLAG, "unknown flag: --bogus");
    check_error("get|-z", CLI_BAD_FLAG, "unknown shorthand flag: 'z' in -z");
    check_error("get|-zw", CLI_BAD_FLAG, "unknown shorthand flag: 'z' in -zw");
    check_error("get|-w", CLI_BAD_FLAG, "flag needs an argument: 'w' in -w");
    check_error("get|--limit", CLI_BAD_FLAG, "flag needs an argument: --limit");
    check_error("get|---x", CLI_BAD_FLAG, "bad flag syntax: ---x");
    check_error("get|--=x", CLI_BAD_FLAG, "bad flag syntax: --=x");
    check_error("get|--limit=x", CLI_BAD_FLAG,
                "invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax");
    check_error("get|--prefix=maybe", CLI_BAD_FLAG,
                "invalid argument \"maybe\" for \"--prefix\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax");
    check_error("txn|-i=x", CLI_BAD_FLAG,
                "invalid argument \"x\" for \"-i, --interactive\" flag: strconv.ParseBool: parsing \"x\": invalid syntax");
    check_error("get|--command-timeout=5", CLI_BAD_FLAG,
                "invalid argument \"5\" for \"--command-timeout\" flag: time: missing unit in duration \"5\"");
    check_error(
        "get|--endpoints=a\"b", CLI_BAD_FLAG,
        "invalid argument \"a\\\"b\" for \"--endpoints\" flag: parse error on line 1, column 2: bare \" in non-quoted-field");
}

static void lines_of_input_have_no_global_flags(void **state)
{
    char get[] = "get", a[] = "a", prefix[] = "--prefix", write_out[] = "-w", json[] = "json";
    char *good[] = {get, a, prefix}, *bad[] = {get, a, write_out, json};
    cli_line line;
    cli_error error;

    (void)state;
    assert_int_equal(cli_parse_inner(cli_commands, cli_n_commands, good, 3, &line, &error), CLI_PARSED);
    assert_int_equal(line.n_args, 1);
    cli_line_free(&line);
    assert_int_equal(cli_parse_inner(cli_commands, cli_n_commands, bad, 4, &line, &error), CLI_BAD_FLAG);
    assert_string_equal(error.text, "unknown shorthand flag: 'w' in -w");
    cli_line_free(&line);
}

/* Every command: texts, a parent, flags that collide with no other. */
static void the_table_of_commands_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *command = cli_commands[i];
        const char *space = strrchr(command->name, ' ');
        bool has_parent = space == NULL;

        assert_true(command->summary && *command->summary);
        assert_true(command->run ? command->usage != NULL : space == NULL);
        for (size_t j = 0; j < cli_n_commands; j++) {
            const char *other = cli_commands[j]->name;

            assert_true(i == j || strcmp(command->name, other) != 0);
            if (space && strlen(other) == (size_t)(space - command->name) && strncmp(other, command->name, strlen(other)) == 0)
                has_parent = !cli_commands[j]->run;
        }
        assert_true(has_parent);
        for (size_t j = 0; j < command->n_flags; j++)
            for (size_t k = 0; k < cli_n_global_flags; k++)
                assert_string_not_equal(command->flags[j].name, cli_global_flags[k].name);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(commands_are_found),
    cmocka_unit_test(flags_may_come_before_the_command),
    cmocka_unit_test(flags_take_their_values),
    cmocka_unit_test(lists_grow_and_replace_the_default),
    cmocka_unit_test(two_dashes_end_the_flags),
    cmocka_unit_test(help_is_a_flag_of_every_command),
    cmocka_unit_test(unknown_commands),
    cmocka_unit_test(wrong_flags),
    cmocka_unit_test(lines_of_input_have_no_global_flags),
    cmocka_unit_test(the_table_of_commands_is_sound),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
