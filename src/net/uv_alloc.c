/* See uv_alloc.h. libuv's allocator is one per process, so it is replaced only when the program asked for its own. */
#include "net/uv_alloc.h"

#include "base/alloc.h"
#include "base/error.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* Memory put aside for the next growth of a table of watchers, by the thread that is about to cause it. */
static _Thread_local struct {
    void *memory; /* NULL: none */
    size_t size;
    size_t used; /* bytes of the table as it is */
    bool taken;  /* libuv has it; it may grow once more within the same call, into what is left of it */
} reserve;

static void *uv_malloc(size_t size)
{
    return etcd__malloc(size);
}

static void *uv_calloc(size_t count, size_t size)
{
    return etcd__calloc(count, size);
}

static void uv_free(void *memory)
{
    etcd__free(memory);
}

/* The table is the only thing that libuv resizes on behalf of the functions below. */
static void *uv_realloc(void *memory, size_t size)
{
    if (reserve.memory == NULL || size > reserve.size)
        return etcd__realloc(memory, size);
    if (reserve.taken)
        return memory == reserve.memory ? memory : etcd__realloc(memory, size);
    reserve.taken = true;
    if (memory != NULL)
        memcpy(reserve.memory, memory, reserve.used < size ? reserve.used : size);
    etcd__free(memory);
    return reserve.memory;
}

/* Whether libuv uses the functions above. */
static bool adopt_allocator(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool adopted;
    bool result;

    (void)pthread_mutex_lock(&lock);
    if (!adopted && etcd__alloc_hooked())
        adopted = uv_replace_allocator(uv_malloc, uv_realloc, uv_calloc, uv_free) == 0;
    result = adopted;
    (void)pthread_mutex_unlock(&lock);
    return result;
}

/* libuv sizes the table to the next power of two above the descriptor, and keeps two entries of its own behind it. */
static bool reserve_table(unsigned int watchers_now, int fd)
{
    size_t entries = 2;

    while (entries < (size_t)fd + 3)
        entries *= 2;
    reserve.size = entries * sizeof(void *);
    reserve.used = watchers_now > 0 ? (watchers_now + 2u) * sizeof(void *) : 0;
    reserve.taken = false;
    reserve.memory = etcd__malloc(reserve.size);
    if (reserve.memory != NULL && !adopt_allocator()) {
        etcd__free(reserve.memory); /* libuv takes it from the C library itself: at least it is known to be there */
        reserve.memory = NULL;
        return true;
    }
    return reserve.memory != NULL;
}

static void drop_reserve(void)
{
    if (!reserve.taken)
        etcd__free(reserve.memory);
    reserve.memory = NULL;
}

int etcd__uv_loop_init(uv_loop_t *loop)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc;

    if (lowest < 0)
        return UV_EMFILE;
    (void)close(lowest);
    (void)adopt_allocator();
    if (!reserve_table(0, lowest + 32)) /* libuv opens a handful of descriptors, other threads perhaps some more */
        return UV_ENOMEM;
    rc = uv_loop_init(loop);
    drop_reserve();
    return rc;
}

int etcd__uv_poll_start(uv_poll_t *poll, int fd, int events, uv_poll_cb fn)
{
    int rc;

    if ((unsigned int)fd < poll->loop->nwatchers)
        return uv_poll_start(poll, events, fn);
    if (!reserve_table(poll->loop->nwatchers, fd))
        return UV_ENOMEM;
    rc = uv_poll_start(poll, events, fn);
    drop_reserve();
    return rc;
}

int etcd__uv_error(etcd_error *err, const char *what, int uv_code)
{
    if (uv_code == UV_ENOMEM)
        return etcd__error_no_memory(err);
    return etcd__error_system(err, what, -uv_code);
}
