/* What a client does to its process (P9): its thread takes no signal of the program's. */
#include "harness/fake_fixture.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
    fake_server *server = fake_server_start(NULL);
    uint64_t usr1 = UINT64_C(1) << (SIGUSR1 - 1);
    char self[32];
    size_t before = 0, with_client = 0;
    etcd_client *client;
    struct dirent *entry;
    etcd_error err;

    (void)state;
    (void)snprintf(self, sizeof self, "%ld", (long)getpid());
    for (int pass = 0; pass < 2; pass++) {
        DIR *tasks = opendir("/proc/self/task");
        size_t blocking = 0;

        assert_non_null(tasks);
        while ((entry = readdir(tasks)) != NULL)
            if (entry->d_name[0] != '.')
                blocking += (blocked_by(entry->d_name) & usr1) != 0;
        (void)closedir(tasks);
        if (pass == 0) {
            before = blocking;
            client = fake_client(fake_server_endpoint(server), false);
            assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
        } else {
            with_client = blocking;
        }
    }
    assert_int_equal(with_client, before + 1);
    assert_int_equal(blocked_by(self) & usr1, 0); /* the caller's own mask is as it was */
    etcd_client_free(client);
    fake_server_stop(server);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_io_thread_takes_no_signals),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
