/* completion: scripts that complete command lines of etcd3ctl in bash, zsh, fish and PowerShell.
 *
 * The scripts know nothing themselves: they run `etcd3ctl __complete WORD...` with the words up to the cursor, which answers from
 * the tables with a line for each candidate, "word<tab>what it is". So they need no renewal when commands change.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "complete.h"
#include "commands.h"
#include "help.h"

#include <stdlib.h>
#include <string.h>

/* In the scripts, ~ stands for the program's name. */
static const char bash[] = "# bash completion for ~\n"
                           "_~_complete() {\n"
                           "    local IFS=$'\\n' word words=() n=0 open=\n"
                           "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD}\"; do\n"
                           "        # bash takes --flag=value for three words\n"
                           "        if [[ -n $open || ( $word == = && $n -gt 0 && ${words[n-1]} == --* ) ]]; then\n"
                           "            words[n-1]+=$word\n"
                           "            [[ $word == = ]] && open=yes || open=\n"
                           "        else\n"
                           "            words[n++]=$word\n"
                           "        fi\n"
                           "    done\n"
                           "    COMPREPLY=($(\"${COMP_WORDS[0]}\" __complete \"${words[@]}\" 2>/dev/null | cut -f 1))\n"
                           "    [[ ${words[n-1]} == --*=* ]] && COMPREPLY=(\"${COMPREPLY[@]#*=}\")\n"
                           "}\n"
                           "complete -o default -F _~_complete ~\n";

static const char zsh[] = "#compdef ~\n"
                          "# zsh completion for ~\n"
                          "_~() {\n"
                          "    local -a found\n"
                          "    local line\n"
                          "    for line in \"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
                          "        [[ -n $line ]] && found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
                          "    done\n"
                          "    if (( ${#found} )); then\n"
                          "        _describe '~' found\n"
                          "    else\n"
                          "        _files\n"
                          "    fi\n"
                          "}\n"
                          "if [ \"${funcstack[1]}\" = _~ ]; then\n"
                          "    _~ \"$@\"\n"
                          "else\n"
                          "    compdef _~ ~\n"
                          "fi\n";

static const char fish[] = "# fish completion for ~\n"
                           "function __~_complete\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    $words[1] __complete $words[2..-1] 2>/dev/null\n"
                           "end\n"
                           "complete -c ~ -a '(__~_complete)'\n";

static const char powershell[] =
    "# PowerShell completion for ~\n"
    "Register-ArgumentCompleter -Native -CommandName '~' -ScriptBlock {\n"
    "    param($word, $ast, $position)\n"
    "    $words = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $position } |"
    " ForEach-Object { $_.Extent.Text })\n"
    "    $rest = @($words | Select-Object -Skip 1) + $word\n"
    "    & $words[0] __complete @rest 2>$null | ForEach-Object {\n"
    "        $parts = $_ -split \"`t\", 2\n"
    "        [System.Management.Automation.CompletionResult]::new($parts[0], $parts[0], 'ParameterValue', $parts[1])\n"
    "    }\n"
    "}\n";

static const struct {
    const char *shell, *script;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}, {"powershell", powershell}};

#define N_SCRIPTS (sizeof scripts / sizeof *scripts)

static void print_script(const char *script, const char *program)
{
    for (const char *s = script; *s; s++) {
        if (*s == '~')
            fputs(program, stdout);
        else
            putchar(*s);
    }
}

/* Ends the line of an error that was begun, and says how the command is used. */
static int fail_with_usage(cli *c)
{
    putc('\n', stderr);
    cli_usage(stderr, c->program, c->line.command);
    putc('\n', stderr);
    return CLI_ERROR;
}

static int run_completion(cli *c)
{
    char *quoted;

    if (cli_n_args(c) != 1) {
        fprintf(stderr, "Error: accepts 1 arg(s), received %zu", cli_n_args(c));
        return fail_with_usage(c);
    }
    for (size_t i = 0; i < N_SCRIPTS; i++)
        if (strcmp(cli_arg(c, 0), scripts[i].shell) == 0) {
            print_script(scripts[i].script, c->program);
            return CLI_OK;
        }
    quoted = cli_quoted(cli_arg(c, 0), strlen(cli_arg(c, 0)));
    fprintf(stderr, "Error: invalid argument %s for \"%s completion\"", quoted ? quoted : "", c->program);
    free(quoted);
    return fail_with_usage(c);
}

const cli_command cli_completion = {
    .name = "completion",
    .usage = "completion [bash|zsh|fish|powershell]",
    .summary = "Generate completion script",
    .description = "Prints a script that teaches a shell to complete the words of etcdctl commands.\n\n"
                   "  bash        source <(etcdctl completion bash)\n"
                   "  zsh         source <(etcdctl completion zsh)\n"
                   "  fish        etcdctl completion fish | source\n"
                   "  powershell  etcdctl completion powershell | Out-String | Invoke-Expression\n\n"
                   "In a start-up file of the shell it does so for every session. Packages install the scripts where the shells\n"
                   "find them by themselves.",
    .group = CLI_UTILITY,
    .plain_usage = true,
    .run = run_completion,
};
