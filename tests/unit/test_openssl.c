/* Loading OpenSSL: this program has openssl_load.c in the place of the static library's openssl_link.c, and uses nothing that is
 * linked with OpenSSL, so that there is something to load. */
#include "net/openssl_table.h"

#include "harness/test.h"
#include "net/sha256.h"

#include <dlfcn.h>
#include <pthread.h>

enum { THREADS = 8 };

/* A look-up in libssl finds what is in libcrypto, too. */
static void each_name_stands_for_its_function(void **state)
{
    void *libssl;

    (void)state;
    assert_null(dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD));
    assert_null(etcd__openssl);
    assert_int_equal(etcd__openssl_load(NULL), ETCD_OK);
    assert_non_null(etcd__openssl);
    libssl = dlopen("libssl.so.3", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(libssl);
#define X(name) assert_ptr_equal((void *)(uintptr_t)etcd__openssl->name, dlsym(libssl, #name));
    ETCD__OPENSSL_FUNCTIONS(X)
#undef X
}

/* FIPS 180-2, appendix B.1 */
static bool hashes(void)
{
    static const uint8_t expected[ETCD__SHA256_SIZE] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                                        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                                        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t digest[ETCD__SHA256_SIZE];
    etcd__sha256 *sha;
    bool good = etcd__sha256_new(&sha, NULL) == ETCD_OK && etcd__sha256_add(sha, "abc", 3) == 0 &&
                etcd__sha256_end(sha, digest) == 0 && memcmp(digest, expected, sizeof digest) == 0;

    etcd__sha256_free(sha);
    return good;
}

static void *load_and_hash(void *arg)
{
    (void)pthread_barrier_wait(arg);
    return hashes() ? arg : NULL;
}

static void threads_load_it_at_once(void **state)
{
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    void *good[THREADS];

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_hash, &barrier), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], &good[i]), 0);
    (void)pthread_barrier_destroy(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        assert_ptr_equal(good[i], &barrier);
}

static void freeing_nothing_needs_no_openssl(void **state)
{
    (void)state;
    etcd__sha256_free(NULL);
    assert_null(etcd__openssl);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_name_stands_for_its_function),
    cmocka_unit_test(threads_load_it_at_once),
    cmocka_unit_test(freeing_nothing_needs_no_openssl),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
