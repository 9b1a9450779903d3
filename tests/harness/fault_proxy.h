/* A TCP proxy in front of one server, on a thread of the test process, that breaks the way in between as a test tells it to:
 * late, slow, cut off in the middle, half open, a black hole, reset, refused.
 *
 *     fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(server, 0));
 *     ... a client of fault_proxy_endpoint(proxy) ...
 *     fault_proxy_hold(proxy, FAULT_BOTH);      from here on nothing arrives, and nobody is told
 *     fault_proxy_resume(proxy);                what was held arrives now
 *     fault_proxy_stop(proxy);
 *
 * What is held is not lost, as with a broken line that TCP outlives: it waits in the proxy and in the sockets. The kernel
 * acknowledges it, so the client's pings notice a hold, its TCP_USER_TIMEOUT does not.
 *
 * All functions from any thread. Misuse and failures of the system abort() with a message. Where a test must wait it awaits a
 * condition of the proxy. */
#ifndef ETCD3_TESTS_FAULT_PROXY_H
#define ETCD3_TESTS_FAULT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fault_proxy fault_proxy;

enum fault_direction {
    FAULT_UP = 1,   /* from client to server */
    FAULT_DOWN = 2, /* from server to client */
    FAULT_BOTH = 3
};

/** In front of "http://127.0.0.1:port" or "https://127.0.0.1:port". */
fault_proxy *fault_proxy_start(const char *target);

/** Ends the thread and resets all connections. NULL is allowed. */
void fault_proxy_stop(fault_proxy *proxy);

/** With the scheme of the target; lives as long as the proxy. */
const char *fault_proxy_endpoint(const fault_proxy *proxy);

/** Each chunk of bytes arrives that much later, from now on; 0: at once. */
void fault_proxy_latency(fault_proxy *proxy, int ms);

/** Bytes for each second, connection and direction, from now on; 0: no limit. */
void fault_proxy_rate(fault_proxy *proxy, int64_t bytes_per_s);

/** Stops forwarding in these directions, on connections that are open and that come. */
void fault_proxy_hold(fault_proxy *proxy, int directions);

/** The same on connections that are open; those that come are served. */
void fault_proxy_hold_open(fault_proxy *proxy, int directions);

/** The same on connections whose client's first bytes contain `text`, also on those that come. One text for each proxy. */
void fault_proxy_hold_those_with(fault_proxy *proxy, const char *text);

/** Ends hold and refuse; latency and rate stay. */
void fault_proxy_resume(fault_proxy *proxy);

/** The next connection is reset once `bytes` bytes have passed in a direction, none more. Again: of the one after that. */
void fault_proxy_cut_next(fault_proxy *proxy, int direction, uint64_t bytes);

/** Resets all open connections, on both sides. */
void fault_proxy_reset(fault_proxy *proxy);

/** New connections are refused by the system; open ones stay. The port is kept. */
void fault_proxy_refuse(fault_proxy *proxy);

/** Connections so far, how many of them are open, and the bytes that one of them (from 0) has passed in a direction. */
size_t fault_proxy_count(fault_proxy *proxy);
size_t fault_proxy_open(fault_proxy *proxy);
uint64_t fault_proxy_passed(fault_proxy *proxy, size_t connection, int direction);

/** Wait until there were so many connections, so many are open, or the proxy holds bytes back in a direction; false when it does
 * not come to that in time. */
bool fault_proxy_await_count(fault_proxy *proxy, size_t n, int timeout_ms);
bool fault_proxy_await_open(fault_proxy *proxy, size_t n, int timeout_ms);
bool fault_proxy_await_held(fault_proxy *proxy, int direction, int timeout_ms);

#endif
