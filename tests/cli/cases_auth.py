"""Golden cases: authentication, users, roles.

SPDX-License-Identifier: Apache-2.0
"""
from family import DURATIONS, OUTPUTS, family

@family()
def user(golden):
    golden.look("user")
    for command in ("add", "delete", "get", "list", "passwd", "grant-role", "revoke-role"):
        golden.look(f"user {command} --help")
        golden.run(f"user {command}")
        golden.run(f"user {command} a b c")
        golden.run(f"user {command} nobody", stdin=b"")
        golden.run(f"user {command} nobody norole", stdin=b"")
        golden.run(f"user {command} ''", stdin=b"x\n")
    golden.on_both("role add role1")
    golden.on_both("role add role2")
    golden.on_both("role grant-permission role1 readwrite a z")
    golden.run("user add :pw")
    golden.run("user add x: --interactive=false", stdin=b"")
    golden.run("user add y --interactive=false", stdin=b"")
    golden.run("user add y2 --interactive=false", stdin=b"word more\nline\n")
    golden.run("user add y3 --no-password")
    golden.run("user add y4:pw --no-password")
    golden.run("user add y5 --new-user-password=a:b")
    golden.run("user add y6:pw --new-user-password=a:b")
    golden.run("user add y7 --new-user-password=a --no-password")
    golden.run("user passwd y6 --interactive=false", stdin=b"")
    golden.run("user passwd y6 --interactive=false", stdin=b"abc\n")
    golden.run("user passwd y6", stdin=b"abc\nabc\n")
    golden.run("user passwd y6", stdin=b"abc\nabd\n")
    golden.run("user add y8", stdin=b"abc\nabc\n")
    golden.run("user add y9", stdin=b"abc\nabd\n")
    for output in OUTPUTS:
        golden.run(f"user add name:pw -w {output}")
        golden.run(f"user add name:pw -w {output}")
        golden.run(f"user grant-role name role1 -w {output}")
        golden.run(f"user grant-role name role2 -w {output}")
        golden.run(f"user passwd name --interactive=false -w {output}", stdin=b"abc\n")
        golden.run(f"user get name -w {output}")
        if output != "protobuf": # ids in the middle of text
            golden.run(f"user get name --detail -w {output}")
        golden.run(f"user list -w {output}")
        golden.run(f"user revoke-role name role1 -w {output}")
        golden.run(f"user revoke-role name role1 -w {output}")
        golden.run(f"user get name -w {output}")
        golden.run(f"user delete name -w {output}")
        golden.run(f"user delete name -w {output}")


@family()
def role(golden):
    golden.look("role")
    for command in ("add", "delete", "get", "list", "grant-permission", "revoke-permission"):
        golden.look(f"role {command} --help")
        golden.run(f"role {command}")
        golden.run(f"role {command} a b c d e")
        golden.run(f"role {command} norole")
        golden.run(f"role {command} ''")
    golden.on_both("role add r")
    for rest in ("r", "r read", "r nonsense a", "r read a b c", "r read a b --prefix", "r read a b --from-key", "r read a --prefix --from-key", "norole read a",
                 "r read a", "r write b ''", "r readwrite c d", "r READ d1", "r Write d2 d3", "r read p --prefix", "r write f --from-key", "r read '' --prefix", "r write '' --from-key",
                 "r read ''", "r read 'x y' 'x\tz'", "r read q\\\\ q"):
        golden.run(f"role grant-permission {rest}")
        golden.run("role get r")
    golden.formats("role get r")
    for rest in ("r", "r a b c", "r nonsense", "r a b --prefix", "r a b --from-key", "r a --prefix --from-key", "norole a",
                 "r a", "r b ''", "r c d", "r d1", "r d2 d3", "r p --prefix", "r f --from-key", "r '' --prefix", "r '' --from-key", "r ''"):
        golden.run(f"role revoke-permission {rest}")
    for output in OUTPUTS:
        golden.run(f"role add name -w {output}")
        golden.run(f"role add name -w {output}")
        golden.run(f"role grant-permission name read k -w {output}")
        golden.run(f"role grant-permission name write k l -w {output}")
        golden.run(f"role get name -w {output}")
        golden.run(f"role list -w {output}")
        golden.run(f"role revoke-permission name k -w {output}")
        golden.run(f"role revoke-permission name k l -w {output}")
        golden.run(f"role get name -w {output}")
        golden.run(f"role delete name -w {output}")
        golden.run(f"role delete name -w {output}")
    golden.run("role get root")
    golden.on_both("role add root")
    for output in OUTPUTS:
        golden.run(f"role get root -w {output}")


@family()
def auth(golden):
    golden.look("auth")
    for command in ("enable", "disable", "status"):
        golden.look(f"auth {command} --help")
        golden.run(f"auth {command} extra", since="3.5" if command == "status" else "3.4")
        golden.formats(f"auth {command}", how="run", since="3.5" if command == "status" else "3.4")
    golden.on_both("user add root:pw")
    golden.run("auth enable")
    golden.run("auth status", since="3.5")
    golden.run("auth enable")
    golden.run("auth enable --user root:pw")
    golden.run("auth status --user root:pw", since="3.5")
    golden.run("auth status --user root --password pw -w json", since="3.5")
    golden.run("auth status --user root:bad", since="3.5")
    golden.run("get a --user root:bad")
    golden.run("user list --user root:bad")
    golden.run("member list --user root:bad")
    golden.run("endpoint health --user root:bad")
    golden.run("endpoint status --user root:bad")
    golden.run("endpoint status --cluster --user root:pw", mask=((r", \d+\.\d+\.\d+, .*", ""),))
    golden.run("user get root --user root:pw")
    golden.run("role get root --user root:pw")
    golden.run("user list --user nobody:x")
    golden.run("user list")
    golden.run("user list --user root", stdin=b"pw\n")
    golden.run("user list --user :pw")
    golden.run("user delete root --user root:pw")
    golden.run("user add u:u --user root:pw")
    golden.run("user get u --user u:u")
    golden.run("user list --user u:u")
    golden.run("get a --user u:u")
    golden.formats("watch a --user u:u", how="run")
    golden.run("endpoint health --user u:u", mask=DURATIONS)
    golden.run("alarm list --user u:u")
    for output in OUTPUTS:
        golden.run(f"auth disable --user root:pw -w {output}")
        golden.run(f"auth disable -w {output}")
        golden.run(f"auth status -w {output}", since="3.5")
        golden.run(f"auth enable -w {output}")
        golden.run(f"auth enable -w {output}")
