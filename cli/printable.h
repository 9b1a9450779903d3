/* Unicode: taking characters from UTF-8, and telling which of them show something.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PRINTABLE_H
#define CLI_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Whether a character is shown as it is by Go's %q. */
bool cli_is_printable(uint32_t rune);

/** Takes the character at data[0 .. len), len > 0: returns its bytes, 0 when they are not valid UTF-8. */
size_t cli_take_rune(const char *data, size_t len, uint32_t *rune);

#endif
