/* Snapshots into descriptors and files. See <etcd3/snapshot.h>.
 *
 * A descriptor may be a pipe whose reader is gone: SIGPIPE is held back from the program (P9). */
#include "base/alloc.h"
#include "base/error.h"
#include "service/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- descriptors ---------------------------------------------------------------------------------------------- */

static bool sigpipe_is_pending(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* write() as ever, but a broken pipe is an error and no more. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
    sigset_t sigpipe, before;
    bool was_pending;
    ssize_t n;
    int saved, number;

    (void)sigemptyset(&sigpipe);
    (void)sigaddset(&sigpipe, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &sigpipe, &before) != 0)
        return write(fd, data, len);
    was_pending = sigpipe_is_pending();
    n = write(fd, data, len);
    saved = errno;
    if (n < 0 && saved == EPIPE && !was_pending && sigpipe_is_pending())
        (void)sigwait(&sigpipe, &number); /* does not wait: it is pending */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return n;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write_quietly(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_part(void *arg, const char *data, size_t len, etcd_error *err)
{
    const int *fd = arg;
    int failure = write_all(*fd, data, len);

    return failure ? etcd__error_system(err, "could not write snapshot", failure) : ETCD_OK;
}

int etcd_snapshot_write(etcd_client *client, int fd, const etcd_snapshot_options *options, etcd_snapshot_response **out,
                        etcd_error *err)
{
    if (out != NULL)
        *out = NULL;
    if (fd < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the descriptor is negative");
    return etcd__snapshot_transfer(client, options, write_part, NULL, &fd, out, err);
}

/* --- files ---------------------------------------------------------------------------------------------------- */

struct target {
    int fd; /* first: write_part() is given a pointer to it */
    bool created;
    const char *path;
    char *part; /* path.part; owned */
};

/* "what path: text of errno" */
static int fail(etcd_error *err, const char *what, const char *path, int failure)
{
    char text[256];

    (void)snprintf(text, sizeof text, "%s %.200s", what, path);
    return etcd__error_system(err, text, failure);
}

static int create_part(struct target *target, etcd_error *err)
{
    size_t len = strlen(target->path);

    target->part = etcd__malloc(len + sizeof ".part");
    if (target->part == NULL)
        return etcd__error_no_memory(err);
    memcpy(target->part, target->path, len);
    memcpy(target->part + len, ".part", sizeof ".part");
    target->fd = open(target->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (target->fd < 0)
        return fail(err, "could not open", target->part, errno);
    target->created = true;
    if (fchmod(target->fd, S_IRUSR | S_IWUSR) < 0) /* one that was left behind may be open to others */
        return fail(err, "could not protect", target->part, errno);
    return ETCD_OK;
}

/* So that the new name is there after a power cut. Some file systems have nothing to sync in a directory. */
static int sync_directory(const char *path, etcd_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *directory = etcd__malloc(len + 1);
    int fd, failure = 0;

    if (directory == NULL)
        return etcd__error_no_memory(err);
    memcpy(directory, slash == NULL ? "." : path, len);
    directory[len] = '\0';
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        failure = fsync(fd) < 0 && errno != EINVAL ? errno : 0;
        (void)close(fd);
    }
    etcd__free(directory);
    return failure ? fail(err, "could not sync the directory of", path, failure) : ETCD_OK;
}

static int finish_file(void *arg, etcd_error *err)
{
    struct target *target = arg;
    int fd = target->fd;

    if (fsync(fd) < 0)
        return fail(err, "could not fsync snapshot", target->part, errno);
    target->fd = -1;
    if (close(fd) < 0)
        return fail(err, "could not close", target->part, errno);
    if (rename(target->part, target->path) < 0)
        return fail(err, "could not rename to", target->path, errno);
    target->created = false; /* nothing to remove */
    return sync_directory(target->path, err);
}

int etcd_snapshot_save(etcd_client *client, const char *path, const etcd_snapshot_options *options, etcd_snapshot_response **out,
                       etcd_error *err)
{
    struct target target = {.fd = -1, .path = path};
    int rc;

    if (out != NULL)
        *out = NULL;
    if (path == NULL || path[0] == '\0')
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "no path");
    rc = create_part(&target, err);
    if (rc == ETCD_OK)
        rc = etcd__snapshot_transfer(client, options, write_part, finish_file, &target, out, err);
    if (target.fd >= 0)
        (void)close(target.fd);
    if (target.created)
        (void)unlink(target.part);
    etcd__free(target.part);
    return rc;
}
