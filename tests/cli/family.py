"""What the files cases_*.py share.

SPDX-License-Identifier: Apache-2.0
"""

OUTPUTS = ("simple", "fields", "json", "protobuf", "table", "json --hex", "simple --hex", "fields --hex")
# For mask=: what no two runs have in common
DURATIONS = ((r"\d[0-9.hm]*(m|n|µ)?s\b", "<took>"),)
# Columns of tables take their width from such values
WIDTHS = ((r" {2,}", " "), (r"(─|-){2,}", "─"))


def family(members=1, since="3.4", own_network=False):
    """Marks a function as a family of golden.py that needs clusters of so many members, of this version or later; own_network: in a
    network and with a resolv.conf of its own, see names.py."""

    def mark(function):
        function.is_family = True
        function.members = members
        function.since = since
        function.own_network = own_network
        return function

    return mark
