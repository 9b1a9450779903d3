/* The terminal: passwords without echo. See cli.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t echo_is_off;

void cli_echo(bool on)
{
    struct termios silent;

    if (on && echo_is_off) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        echo_is_off = 0;
    } else if (!on && !echo_is_off && tcgetattr(STDIN_FILENO, &saved) == 0) {
        silent = saved;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        echo_is_off = tcsetattr(STDIN_FILENO, TCSANOW, &silent) == 0;
    }
}

/* A signal ends the program as usual, but not with a silent terminal. */
static void on_signal(int number)
{
    if (echo_is_off)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    signal(number, SIG_DFL);
    raise(number);
}

char *cli_ask_password(const char *prompt)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction old[4], action = {.sa_handler = on_signal};
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    for (size_t i = 0; i < 4; i++)
        sigaction(signals[i], &action, &old[i]);
    fputs(prompt, stdout);
    fflush(stdout);
    cli_echo(false);
    len = getline(&line, &size, stdin);
    putchar('\n');
    cli_echo(true);
    for (size_t i = 0; i < 4; i++)
        sigaction(signals[i], &old[i], NULL);
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = '\0';
    if (len < 0) {
        free(line);
        return cli_copy("", 0);
    }
    return line;
}
