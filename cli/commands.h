/* The commands of each family; commands.c puts them into one table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command.h"

extern const cli_command cli_get, cli_put, cli_del, cli_txn, cli_compaction, cli_tree;
extern const cli_command cli_lease, cli_lease_grant, cli_lease_revoke, cli_lease_timetolive, cli_lease_list, cli_lease_keep_alive;
extern const cli_command cli_bench, cli_bench_put, cli_bench_get, cli_bench_range, cli_bench_txn, cli_bench_lease,
    cli_bench_mixed, cli_bench_watch;
extern const cli_command cli_status;
extern const cli_command cli_check, cli_check_perf, cli_check_datascale;
extern const cli_command cli_make_mirror, cli_watch, cli_lock, cli_elect, cli_snapshot, cli_snapshot_save;
extern const cli_command cli_alarm, cli_alarm_list, cli_alarm_disarm, cli_defrag, cli_move_leader;
extern const cli_command cli_downgrade, cli_downgrade_validate, cli_downgrade_enable, cli_downgrade_cancel;
extern const cli_command cli_endpoint, cli_endpoint_health, cli_endpoint_status, cli_endpoint_hashkv;
extern const cli_command cli_member, cli_member_list, cli_member_add, cli_member_remove, cli_member_update, cli_member_promote;
extern const cli_command cli_auth, cli_auth_enable, cli_auth_disable, cli_auth_status;
extern const cli_command cli_user, cli_user_add, cli_user_delete, cli_user_get, cli_user_list, cli_user_passwd,
    cli_user_grant_role, cli_user_revoke_role;
extern const cli_command cli_role, cli_role_add, cli_role_delete, cli_role_get, cli_role_list, cli_role_grant_permission,
    cli_role_revoke_permission;
extern const cli_command cli_version, cli_help_command, cli_options, cli_completion;

#endif
