"""Golden cases: members, endpoints, moving the leader.

SPDX-License-Identifier: Apache-2.0
"""
from family import DURATIONS, OUTPUTS, WIDTHS, family

# Between two looks a member may have written, even without a change by anybody
STATUS = ((r'"(dbSize|dbSizeInUse|raftIndex|raftAppliedIndex|storageVersion)":("[^"]*"|\d+),?', ""),
          (r'"(DBSize|DBSizeInUse|RaftIndex|RaftAppliedIndex|StorageVersion)" : .*', r'"\1" : <state>'),
          (r"(<m\d>(?:, | (?:│|\|) +)3\.\d+\.\d+(?:, | (?:│|\|) +))3\.\d+\.0", r"\1<version>"), (r"\b\d+(\.\d)? [kM]B", "<size>"), (r"\d+%", "<percent>"),
          (r"((?:true|false)(?:, | (?:│|\|) +))\d+((?:, | (?:│|\|) +))\d+((?:, | (?:│|\|) +))\d+", r"\1<term>\2<index>\3<applied>"))
# The order of two members is that of their ids
TWO = {"unordered": True, "mask": WIDTHS}
# The id of a new member follows from the second in which it is added
NEW = {"unordered": True, "mask": (*WIDTHS, (r"(?<![\w<])(\d{12,20}|[0-9a-f]{12,16})(?![\w>])", "<new>"))}


@family(members=3)
def member_list(golden):
    golden.formats("member list")
    golden.formats("member list --hex", formats=("simple", "fields", "protobuf", "table"))
    golden.look("member list --hex -w json", since="3.6")
    golden.look("member list --consistency s", since="3.6")
    golden.look("member list --consistency=l", since="3.6")
    golden.look("member list --consistency=x", since="3.6")
    golden.look("member list extra")
    golden.look("member")
    golden.look("member nonsense")
    golden.look("member list --nonsense")
    for command in ("list", "add", "remove", "update", "promote"):
        golden.look(f"member {command} --help")


@family()
def member_change(golden):
    for arguments in ("member add", "member add one two", "member add n1", "member add n1 --peer-urls=", "member add n1 --peer-urls nonsense",
                      "member add n1 --peer-urls http://localhost", "member add n1 --peer-urls http://127.0.0.1:1/x",
                      "member add n1 --peer-urls ,",
                      "member add n1 http://127.0.0.1:1", "member add --peer-urls=http://127.0.0.1:1",
                      "member remove", "member remove zz", "member remove 1 2", "member remove 1234", "member remove ''",
                      "member remove 11112222333344445", "member remove -1",
                      "member update", "member update 1234", "member update zz --peer-urls=http://127.0.0.1:1",
                      "member update 1234 --peer-urls=http://127.0.0.1:1", "member update 1 2 --peer-urls=http://127.0.0.1:1",
                      "member promote", "member promote zz", "member promote 1234", "member promote {id_m0}", "member promote 1 2"):
        golden.run(arguments)
    # A URL of its own each time: the id follows from it and from the second
    for port, output in enumerate(OUTPUTS, start=11):
        if output == "json --hex" and not golden.at_least("3.7"): # decimal until 3.6
            continue
        golden.run(f"member add learner --learner --peer-urls=http://127.0.0.1:{port} -w {output}", **NEW)
        golden.run("member list", save=("learner", r"(\w+), unstarted"), **TWO)
        golden.run("member list -w json", **TWO)
        golden.run("member list -w table", **TWO)
        golden.run(f"member update {{learner}} --peer-urls=http://127.0.0.1:2,http://127.0.0.1:3 -w {output}", **TWO)
        golden.run(f"member promote {{learner}} -w {output}")
        golden.run(f"member remove {{learner}} -w {output}")
    golden.run("member add voter --peer-urls=http://127.0.0.1:1 --peer-urls=http://127.0.0.1:4", save=("voter", r"Member +(\w+)"), **NEW)


@family(members=3)
def endpoint(golden):
    for flags in ("", " --cluster", " --endpoints={ep}", " --hex", " extra"):
        for command in ("health", "status", "hashkv"):
            golden.formats(f"endpoint {command}{flags}", mask=(*DURATIONS, *STATUS, *WIDTHS), unordered=command == "health")
    for rest in ("health", "health -w json", "status", "hashkv"):
        golden.look(f"endpoint {rest} --endpoints={{ep0}},127.0.0.1:1 --command-timeout=2s", mask=(*DURATIONS, *STATUS, *WIDTHS), unordered=True)
    golden.look("endpoint")
    golden.look("endpoint hashkv --rev 1")
    golden.look("endpoint hashkv --rev 1000")
    golden.look("endpoint hashkv --rev x")
    golden.look("endpoint status -w nonsense")
    for command in ("health", "status", "hashkv"):
        golden.look(f"endpoint {command} --help")


def lead(golden, member):
    """In both clusters the member leads, also when the cluster had just elected another by itself."""
    for _ in range(20):
        if all(done.code == 0 for done in golden.try_both(f"move-leader {{id_{member}}} --endpoints={{ep}}")):
            return


@family(members=3)
def move_leader(golden):
    lead(golden, "m0")
    golden.run("move-leader")
    golden.run("move-leader 1 2")
    golden.run("move-leader zz")
    golden.run("move-leader 1234")
    golden.run("move-leader 1234 --endpoints={ep1},{ep2}")
    golden.run("move-leader 1234 --endpoints={ep1},127.0.0.1:1 --command-timeout=2s")
    golden.run("move-leader 1234 --endpoints={ep}")
    golden.look("move-leader --help")
    leader = "m0"
    for member, output in (("m0", "simple"), ("m1", "fields"), ("m2", "json"), ("m0", "protobuf"), ("m1", "table"), ("m2", "json --hex"), ("m0", "simple --hex")):
        lead(golden, leader)
        golden.run(f"move-leader {{id_{member}}} --endpoints={{ep}} -w {output}")
        leader = member
