/* libuv and memory: hands the program's allocator to libuv, and keeps libuv from aborting when memory is short.
 *
 * libuv calls abort() when it cannot grow its table of watched descriptors. The functions here make sure that the memory for it
 * is there before libuv asks. Use them instead of the libuv functions of the same names. */
#ifndef ETCD__NET_UV_ALLOC_H
#define ETCD__NET_UV_ALLOC_H

#include <etcd3/error.h>
#include <uv.h>

/** uv_loop_init(); UV_ENOMEM instead of an abort. Hands the allocator of etcd_set_allocator() to libuv if there is one. */
int etcd__uv_loop_init(uv_loop_t *loop);

/** uv_poll_start() of a handle on `fd`; UV_ENOMEM instead of an abort. */
int etcd__uv_poll_start(uv_poll_t *poll, int fd, int events, uv_poll_cb fn);

/** Turns libuv's negative code into ours: ETCD_ERR_NO_MEMORY, or ETCD_ERR_SYSTEM with "what: reason". */
int etcd__uv_error(etcd_error *err, const char *what, int uv_code);

#endif
