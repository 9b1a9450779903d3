"""How a function in cases_*.py becomes a family of golden.py.

SPDX-License-Identifier: Apache-2.0
"""


def family(members=1):
    """Marks a function as a family that needs clusters of so many members."""

    def mark(function):
        function.is_family = True
        function.members = members
        return function

    return mark
