/* Candidates for the next word of a command line: what the completion scripts ask for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli.h"

/** Answers `__complete WORD...`: prints the candidates for the last word, "word<tab>what it is" each. */
void cli_complete(char **words, size_t n);

#endif
