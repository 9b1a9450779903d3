"""What older versions of etcdctl print otherwise than the newest one does, which etcd3ctl follows: docs/etcd3ctl.md has it in words.

A rule makes the two outputs comparable again, in that it takes away what only one of them has; all the rest is still compared. A rule
is a function (words of the command line, output of etcdctl, output of etcd3ctl) that returns the two outputs, or None when it does not apply.
Outputs are (stdout, stderr), both text.

SPDX-License-Identifier: Apache-2.0
"""
import re

RULES = []


def rule(*versions):
    """Adds a function to the rules of these versions; its docstring is the reason."""

    def add(function):
        RULES.append((versions, function))
        return function

    return add


@rule("3.4", "3.5", "3.6")
def help_layout(_words, theirs, ours):
    """Help has had a layout of its own until 3.6, and wrong usage showed it on stdout; a subcommand's error came twice until 3.5."""
    if not theirs[0].startswith("NAME:\n"):
        return None
    return ("", first_line(theirs[1])), ("", first_line(ours[1]))


def first_line(text):
    return text.split("\n", 1)[0]


BORDERS = ("┌┬┐", "├┼┤", "└┴┘")


@rule("3.4", "3.5", "3.6")
def table_borders(words, theirs, ours):
    """Tables were drawn in ASCII until 3.6."""
    if "table" not in words or not theirs[0].startswith("+"):
        return None
    lines, kind = [], 0
    for line in theirs[0].splitlines():
        if line.startswith("+"):
            left, middle, right = BORDERS[min(kind, 2)]
            line = left + line[1:-1].replace("-", "─").replace("+", middle) + right
            kind += 1
        else:
            line = line.replace("|", "│")
        lines.append(line + "\n")
    if kind < 3:  # a table without rows
        lines[-1] = lines[-1].replace("├", "└").replace("┼", "┴").replace("┤", "┘")
    return ("".join(lines), theirs[1]), ours


def without_columns(text, columns):
    """Takes columns, by number, out of lines of simple and table; widths are not kept."""
    lines = []
    for line in text.splitlines():
        if line[:1] in "┌├└":
            continue
        separator = "│" if line.startswith("│") else ","
        cells = [cell.strip() for cell in line.strip("│").split(separator)]
        lines.append(", ".join(cell for number, cell in enumerate(cells) if number not in columns) + "\n")
    return "".join(lines)


NEW_STATUS_FIELDS = re.compile(r'^("(StorageVersion|DBSizeInUse|DBSizeQuota|Downgrade\w*)" : .*|<new>)\n', re.M)


@rule("3.4", "3.5")
def status_columns(words, theirs, ours):
    """endpoint status has six more columns since 3.6: storage version, size in use, percentage not in use, quota, and two of downgrades."""
    if words[:2] != ["endpoint", "status"] or "json" in words or not theirs[0]:
        return None
    if "fields" in words:
        # Until 3.4 the raft term is there twice
        return (re.sub(r'"RaftTerm" : .*\n', "", theirs[0]), theirs[1]), \
            (re.sub(r'"RaftTerm" : .*\n', "", NEW_STATUS_FIELDS.sub("", ours[0])), ours[1])
    return (without_columns(theirs[0], ()), theirs[1]), (without_columns(ours[0], (3, 5, 6, 7, 14, 15)), ours[1])


@rule("3.4", "3.5")
def hash_revision(words, theirs, ours):
    """endpoint hashkv tells the hash's revision since 3.6."""
    if words[:2] != ["endpoint", "hashkv"] or "json" in words or not theirs[0]:
        return None
    if "fields" in words:
        return theirs, (ours[0].replace('"HashRevision" : 0\n', ""), ours[1])
    return (without_columns(theirs[0], ()), theirs[1]), (without_columns(ours[0], (2,)), ours[1])


@rule("3.4", "3.5")
def as_learner(words, theirs, ours):
    """member add says "as learner" since 3.6."""
    if words[:2] != ["member", "add"] or "added as learner to" not in ours[0]:
        return None
    return theirs, (ours[0].replace("added as learner to", "added to"), ours[1])


@rule("3.4", "3.5")
def defrag_took(words, theirs, ours):
    """defrag tells how long it took since 3.6."""
    if words[:1] != ["defrag"]:
        return None
    return theirs, tuple(re.sub(r"\. took <took>\.?", "", text) for text in ours)


@rule("3.4", "3.5")
def revision_zero(words, theirs, ours):
    """The revision of a header in the format fields is left out when it is 0 since 3.6."""
    return ((theirs[0].replace('"Revision" : 0\n', ""), theirs[1]), ours) if "fields" in words else None


@rule("3.4")
def health_on_stderr(words, theirs, ours):
    """endpoint health told everything on stderr in 3.4."""
    if words[:2] != ["endpoint", "health"] or "is healthy: " not in theirs[1]:
        return None
    return ("", "".join(sorted(theirs[1].splitlines(True)))), ("", "".join(sorted((ours[0] + ours[1]).splitlines(True))))


@rule("3.4", "3.5")
def root_role(words, theirs, ours):
    """role get root shows what it may do since 3.6."""
    if words[:3] != ["role", "get", "root"]:
        return None
    return tuple(tuple(text.replace("\t[, <open ended>\n", "") for text in output) for output in (theirs, ours))


@rule("3.4", "3.5")
def lease_in_hex(words, theirs, ours):
    """With --hex the format fields shows a lease in 16 digits since 3.6."""
    if "--hex" not in words or "fields" not in words:
        return None
    return theirs, (re.sub(r'(Lease" : )0{15}', r"\1", ours[0]), ours[1])


@rule("3.4")
def names_in_txn(words, theirs, ours):
    """txn -w json called the parts of an answer ResponseRange, ResponsePut, ... until 3.4."""
    if "txn" not in words or "json" not in words:
        return None
    names = {"ResponseRange": "response_range", "ResponsePut": "response_put", "ResponseDeleteRange": "response_delete_range"}
    return (re.sub("|".join(names), lambda match: names[match[0]], theirs[0]), theirs[1]), ours


@rule("3.4", "3.5")
def error_twice(_words, theirs, ours):
    """An unknown command was told twice until 3.5."""
    end = "Run 'etcdctl --help' for usage.\n"
    if not theirs[1].startswith("Error: unknown command") or end not in theirs[1]:
        return None
    return (theirs[0], theirs[1].split(end)[0] + end), ours


@rule("3.4")
def log_of_environment(_words, theirs, ours):
    """What is wrong with the environment was logged as text until 3.4, and is as JSON since."""
    if "pkg/flags" not in theirs[1]:
        return None
    left = re.sub(r"(?m)^.* W \| pkg/flags: unrecognized environment variable .*\n", "", theirs[1])
    left = re.sub(r'(?m)^.* C \| pkg/flags: conflicting environment variable "(.*?)".*$', r"conflicting: \1", left)
    return (theirs[0], left), (ours[0], re.sub(r'(?m)^\{"level":"fatal".*conflicting.*"environment-variable":"(\w+)"\}$',
                                               r"conflicting: \1", ours[1]))


@rule("3.4", "3.5", "3.6")
def usage_in_txn(words, theirs, ours):
    """For a wrong flag within a transaction the flags of get, put or del are shown, of which newer versions have more."""
    if "txn" not in words or not theirs[1].startswith("Usage:\n") or not ours[1].startswith("Usage:\n"):
        return None
    return (theirs[0], theirs[1].splitlines()[-1]), (ours[0], ours[1].splitlines()[-1])


@rule("3.4", "3.5", "3.6", "3.7")
def own_commands(_words, theirs, ours):
    """etcd3ctl has commands of its own, in a group behind the others."""
    cut = tuple(re.sub(r"\nAdditional commands\n(  .*\n)+", "", text) for text in ours)
    return (theirs, cut) if cut != ours else None


@rule("3.4")
def reading_line(_words, theirs, ours):
    """An error of the interactive watch began with a capital letter in 3.4."""
    return tuple(text.replace("Error: Error reading watch", "Error: error reading watch") for text in theirs), ours


@rule("3.4", "3.5", "3.6")
def cancel_reason(words, theirs, ours):
    """The json of watches has CancelReason since 3.7, and null for no events."""
    if words[:1] != ["watch"] or "json" not in words:
        return None
    return (theirs[0].replace('"Created":false}', '"Created":false,"CancelReason":""}').replace('"Events":[]', '"Events":null'), theirs[1]), ours


def comparable(version, words, theirs, ours):
    """The two outputs after all rules of the version."""
    for versions, function in RULES:
        if version in versions:
            theirs, ours = function(words, theirs, ours) or (theirs, ours)
    return theirs, ours
