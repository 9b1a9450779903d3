/* Snapshots into files and descriptors: whole or not at all, disks that are full, pipes that nobody reads. */
#include "fake/snapshot_source.h"
#include "harness/alloc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct place {
    char directory[64], path[96], part[112];
} place;

static void make_place(place *p)
{
    snprintf(p->directory, sizeof p->directory, "/tmp/etcd3-test-snapshot-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    snprintf(p->path, sizeof p->path, "%s/copy.db", p->directory);
    snprintf(p->part, sizeof p->part, "%s.part", p->path);
}

static void remove_place(const place *p)
{
    (void)unlink(p->path);
    (void)unlink(p->part);
    assert_int_equal(rmdir(p->directory), 0); /* nothing else was left there */
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_file(const char *path, size_t size)
{
    uint8_t digest[ETCD__SHA256_SIZE];
    struct stat st;
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (size_t i = 0; i < size; i++)
        assert_int_equal((char)fgetc(file), snapshot_byte(i));
    snapshot_digest(size, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        assert_int_equal(fgetc(file), digest[i]);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static void expect_text(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    assert_string_equal(found, text);
    fclose(file);
}

static void a_file_is_replaced_as_a_whole(void **state)
{
    source s = {.size = 512 * 20};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_snapshot_response *response;
    progress p = {0};
    place where;
    etcd_error err;

    (void)state;
    make_place(&where);
    write_text(where.path, "as it was", 0644);
    write_text(where.part, "left behind by a crash, readable by all", 0644);
    if (etcd_snapshot_save(client, where.path, ETCD_SNAPSHOT(.progress_fn = snapshot_progress, .progress_arg = &p), &response,
                           &err) != ETCD_OK)
        fail_msg("%s", err.message);
    assert_int_equal(response->n_bytes, s.size + 32);
    assert_int_equal(p.received, s.size + 32);
    assert_int_equal(p.total, s.size + 32);
    assert_true(p.calls > 5);
    etcd_response_free(response);
    expect_file(where.path, s.size);
    assert_int_equal(access(where.part, F_OK), -1);
    assert_int_equal(etcd_snapshot_save(client, where.path, NULL, NULL, NULL), ETCD_OK);
    expect_file(where.path, s.size);
    etcd_client_free(client);
    fake_server_stop(server);
    remove_place(&where);
}

static void failures_leave_the_file_as_it_was(void **state)
{
    source sources[] = {{.size = 4096, .wrong_byte = 5}, {.size = 4096, .end_code = 2}, {.size = 4096, .sent = 2000}};
    place where;
    etcd_error err;

    (void)state;
    make_place(&where);
    write_text(where.path, "as it was", 0644);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        fake_server *server = snapshot_server(&sources[i]);
        etcd_client *client = fake_client(fake_server_endpoint(server), i == 1);

        assert_int_equal(etcd_snapshot_save(client, where.path, NULL, NULL, &err),
                         i == 1 ? ETCD_ERR_UNKNOWN : ETCD_ERR_SNAPSHOT_CORRUPT);
        expect_text(where.path, "as it was");
        assert_int_equal(access(where.part, F_OK), -1);
        etcd_client_free(client);
        fake_server_stop(server);
    }
    remove_place(&where);
}

static void files_that_cannot_be_made_are_told(void **state)
{
    source s = {.size = 4096};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    place where;
    etcd_error err;

    (void)state;
    make_place(&where);
    assert_int_equal(etcd_snapshot_save(client, "/no/such/directory/db", NULL, NULL, &err), ETCD_ERR_SYSTEM);
    fake_assert_contains(err.message, "/no/such/directory/db.part");
    assert_int_equal(etcd_snapshot_save(client, where.directory, NULL, NULL, &err), ETCD_ERR_SYSTEM); /* over a directory */
    fake_assert_contains(err.message, "could not rename");
    assert_int_equal(symlink("/dev/full", where.part), 0);
    assert_int_equal(etcd_snapshot_save(client, where.path, NULL, NULL, &err), ETCD_ERR_SYSTEM); /* follows no link */
    assert_int_equal(etcd_snapshot_save(client, NULL, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_save(client, "", NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    etcd_client_free(client);
    fake_server_stop(server);
    remove_place(&where);
}

static void a_full_disk_ends_it(void **state)
{
    source s = {.size = (size_t)512 * 4000};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    struct rlimit before, limit;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    place where;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_snapshot_write(client, fd, NULL, NULL, &err), ETCD_ERR_SYSTEM);
    fake_assert_contains(err.message, "could not write snapshot");
    close(fd);
    make_place(&where);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(etcd_snapshot_save(client, where.path, NULL, NULL, &err), ETCD_ERR_SYSTEM);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    fake_assert_contains(err.message, "could not write snapshot");
    assert_int_equal(access(where.path, F_OK), -1);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK); /* the client is as good as before */
    etcd_client_free(client);
    fake_server_stop(server);
    remove_place(&where);
}

static void a_pipe_without_a_reader_is_an_error_and_no_signal(void **state)
{
    source s = {.size = 512 * 400};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(etcd_snapshot_write(client, ends[1], NULL, NULL, &err), ETCD_ERR_SYSTEM);
    close(ends[1]);
    assert_int_equal(etcd_snapshot_write(client, -1, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- any allocation may fail ---- */

static void every_allocation(void **state)
{
    source s = {.size = 4096};
    fake_server *server = snapshot_server(&s);
    etcd_client *client;
    bool failed = true;
    place where;
    size_t live;
    etcd_error err;

    (void)state;
    make_place(&where);
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    client = fake_client(fake_server_endpoint(server), true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(etcd_snapshot_save(client, where.path, NULL, NULL, &err), ETCD_OK);
    for (size_t k = 1; failed; k++) {
        etcd_snapshot_response *response;
        int rc;

        (void)unlink(where.path);
        etcd_test_alloc_fail_at(k);
        rc = etcd_snapshot_save(client, where.path, NULL, &response, &err);
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        if (rc != ETCD_OK && (rc != ETCD_ERR_NO_MEMORY || !failed))
            fail_msg("allocation %zu: %s: %s", k, etcd_error_name(rc), err.message);
        if (rc == ETCD_OK)
            expect_file(where.path, s.size);
        assert_int_equal(access(where.part, F_OK), -1);
        etcd_response_free(response);
    }
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), live);
    fake_server_stop(server);
    remove_place(&where);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_as_a_whole),
        cmocka_unit_test(failures_leave_the_file_as_it_was),
        cmocka_unit_test(files_that_cannot_be_made_are_told),
        cmocka_unit_test(a_full_disk_ends_it),
        cmocka_unit_test(a_pipe_without_a_reader_is_an_error_and_no_signal),
        cmocka_unit_test(every_allocation),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
