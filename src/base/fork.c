/* See fork.h. */
#include "base/fork.h"

#include <sys/mman.h>
#include <unistd.h>

#ifdef MADV_WIPEONFORK

static unsigned char *make_page(void)
{
    unsigned char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, 1, MADV_WIPEONFORK) != 0) {
        (void)munmap(page, 1);
        return NULL;
    }
    page[0] = 1;
    return page;
}

static void free_page(const etcd__fork_mark *mark)
{
    union {
        const volatile unsigned char *in;
        void *out;
    } u = {mark->page};

    (void)munmap(u.out, 1);
}

#else

static unsigned char *make_page(void)
{
    return NULL;
}

static void free_page(const etcd__fork_mark *mark)
{
    (void)mark;
}

#endif

void etcd__fork_mark_init(etcd__fork_mark *mark)
{
    mark->pid = getpid();
    mark->page = make_page();
}

bool etcd__fork_mark_passed(const etcd__fork_mark *mark)
{
    return mark->page != NULL ? *mark->page == 0 : mark->pid != getpid();
}

void etcd__fork_mark_free(etcd__fork_mark *mark)
{
    if (mark->page != NULL)
        free_page(mark);
    mark->page = NULL;
}
