/* Whether a process is the one that made the mark. */
#include "harness/test.h"

#include "base/fork.h"

#include <sys/wait.h>
#include <unistd.h>

static void same_process(void **state)
{
    etcd__fork_mark mark;

    (void)state;
    etcd__fork_mark_init(&mark);
    assert_false(etcd__fork_mark_passed(&mark));
    etcd__fork_mark_free(&mark);
}

/* What a child, and a child of that, see: 0 is right. */
static int look(const etcd__fork_mark *mark, int depth)
{
    int status = 0;
    pid_t pid;

    if (!etcd__fork_mark_passed(mark))
        return 1;
    if (depth == 0)
        return 0;
    pid = fork();
    if (pid == 0)
        _exit(look(mark, depth - 1));
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void check_child(etcd__fork_mark *mark)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int seen = look(mark, 1);

        etcd__fork_mark_free(mark);
        _exit(seen);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(etcd__fork_mark_passed(mark));
}

static void children(void **state)
{
    etcd__fork_mark mark;

    (void)state;
    etcd__fork_mark_init(&mark);
    check_child(&mark);
    etcd__fork_mark_free(&mark);
}

/* Where the kernel does not clear pages. */
static void children_without_page(void **state)
{
    etcd__fork_mark mark;

    (void)state;
    etcd__fork_mark_init(&mark);
    etcd__fork_mark_free(&mark);
    assert_false(etcd__fork_mark_passed(&mark));
    check_child(&mark);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(same_process),
    cmocka_unit_test(children),
    cmocka_unit_test(children_without_page),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
