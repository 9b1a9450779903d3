/* What a client does to its process (P9): its thread takes no signal of the program's. */
#include "harness/fake_fixture.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The signals that a thread of this process blocks, as a mask with bit n-1 for signal n. */
static uint64_t blocked_by(const char *tid)
{
    char path[300], line[128];
    uint64_t mask = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigBlk: %" SCNx64, &mask) == 1)
            break;
    (void)fclose(file);
    return mask;
}

static void the_io_thread_takes_no_signals(void **state)
{
    uint64_t usr1 = UINT64_C(1) << (SIGUSR1 - 1);
    etcd_client *client = fake_client("127.0.0.1:1", false);
    size_t others = 0;
    struct dirent *entry;
    char self[32];
    etcd_error err;
    DIR *tasks;

    (void)state;
    /* once it has worked, the thread is past what the C library blocks while it starts one */
    assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = 20), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    (void)snprintf(self, sizeof self, "%ld", (long)getpid());
    tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (strcmp(entry->d_name, self) == 0) {
            assert_int_equal(blocked_by(self) & usr1, 0); /* the caller's own mask is as it was */
        } else {
            assert_int_not_equal(blocked_by(entry->d_name) & usr1, 0);
            others++;
        }
    }
    (void)closedir(tasks);
    assert_true(others >= 1); /* sanitizers have threads, too */
    etcd_client_free(client);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_io_thread_takes_no_signals),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
