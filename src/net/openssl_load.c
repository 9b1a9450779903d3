/* See openssl_table.h. OpenSSL is loaded when it is first needed and stays loaded: it has per-thread destructors, and there is no
 * telling who else came to use it. A failure is not remembered, as it may have been one of memory or descriptors.
 *
 * The slow part runs without a lock, in several threads perhaps: then the loader counts, and one of them publishes the table. So
 * a process that forks meanwhile finds no lock held by a thread that it does not have, but for the copying of the table. */
#include "net/openssl_table.h"

#include "base/error.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define TEXT_OF(macro) #macro
#define TEXT(macro) TEXT_OF(macro)

#define LIBCRYPTO "libcrypto.so." TEXT(OPENSSL_SHLIB_VERSION)
#define LIBSSL "libssl.so." TEXT(OPENSSL_SHLIB_VERSION)

const struct etcd__openssl *etcd__openssl;

#ifdef __ELF__
/* For those who make packages: what `ldd` does not show. "Dlopen Metadata for ELF Files", uapi-group.org. */
#define NOTE_TYPE 0x407c0c0a
#define NOTE_ABOUT(library) \
    "{\"feature\":\"tls\",\"description\":\"TLS, checksums of snapshots\",\"priority\":\"recommended\",\"soname\":[\"" library \
    "\"]}"
#define NOTE_TEXT "[" NOTE_ABOUT(LIBSSL) "," NOTE_ABOUT(LIBCRYPTO) "]"

static const struct {
    uint32_t name_size;
    uint32_t text_size;
    uint32_t type;
    char name[4];
    _Alignas(4) char text[sizeof NOTE_TEXT];
} note __attribute__((used, aligned(4), section(".note.dlopen"))) = {4, sizeof NOTE_TEXT, NOTE_TYPE, "FDO", NOTE_TEXT};
#endif

/* One after the other, each with its NUL: an array of pointers would be relocated at the start of every program. */
#define X(name) #name "\0"
static const char libcrypto_names[] = ETCD__LIBCRYPTO_FUNCTIONS(X);
static const char libssl_names[] = ETCD__LIBSSL_FUNCTIONS(X);
#undef X

/* Looks all `names` up, and moves `*slot` along; a library that was found is never closed. */
static int find_all(const char *library, const char *names, unsigned char **slot, etcd_error *err)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        const char *reason = dlerror(); /* NOLINT(concurrency-mt-unsafe): each thread has its own */

        return etcd__error_set(err, ETCD_ERR_SYSTEM,
                               "OpenSSL cannot be loaded (Debian has it in libssl3, Fedora in openssl-libs): %s",
                               reason ? reason : library);
    }
    for (const char *name = names; *name != '\0'; name += strlen(name) + 1) {
        void *function = dlsym(handle, name);

        if (function == NULL)
            return etcd__error_set(err, ETCD_ERR_SYSTEM, "OpenSSL cannot be used: %s has no %s; " OPENSSL_VERSION_STR " has",
                                   library, name);
        memcpy(*slot, &function, sizeof function);
        *slot += sizeof function;
    }
    return ETCD_OK;
}

static int find_openssl(struct etcd__openssl *table, etcd_error *err)
{
    unsigned char *slot = (unsigned char *)table;
    int rc = find_all(LIBCRYPTO, libcrypto_names, &slot, err);

    if (rc == ETCD_OK)
        rc = find_all(LIBSSL, libssl_names, &slot, err);
    assert(rc != ETCD_OK || slot == (unsigned char *)(table + 1));
    return rc;
}

int etcd__openssl_load(etcd_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct etcd__openssl loaded;
    struct etcd__openssl table;
    bool ready;
    int rc;

    (void)pthread_mutex_lock(&lock);
    ready = etcd__openssl != NULL;
    (void)pthread_mutex_unlock(&lock);
    if (ready)
        return ETCD_OK;
    rc = find_openssl(&table, err);
    if (rc != ETCD_OK)
        return rc;
    (void)pthread_mutex_lock(&lock);
    if (etcd__openssl == NULL) {
        loaded = table;
        etcd__openssl = &loaded;
    }
    (void)pthread_mutex_unlock(&lock);
    return ETCD_OK;
}
