/* The user of one stream: opens it to a listener of the test, notes its events, and can close it inside of any of them. */
#ifndef ETCD3_TESTS_STREAM_USER_H
#define ETCD3_TESTS_STREAM_USER_H

#include "net/stream.h"

typedef struct etcd_test_user {
    etcd__loop *loop;
    etcd__stream *stream;
    etcd__target target;
    char path[108];
    int listener, peer; /* the test's side */
    int opened, writable, closed;
    size_t n_read, close_after; /* bytes after which on_read closes the stream; 0: never */
    int reads;
    char last[64]; /* the last bytes read */
    int code;
    char why[ETCD_ERROR_MESSAGE_MAX];
    bool close_in_open, close_in_writable, close_in_close;
} etcd_test_user;

extern const etcd__stream_events etcd_test_user_events;

/** A new loop, no target yet; a listener as target; everything closed and freed. */
void etcd_test_user_init(etcd_test_user *u);
void etcd_test_user_tcp(etcd_test_user *u);
void etcd_test_user_unix(etcd_test_user *u);
void etcd_test_user_free(etcd_test_user *u);

/** Begins to connect, after forgetting what was noted. */
void etcd_test_user_open(etcd_test_user *u, int64_t timeout_ms);

/** Turns the loop until *flag is not 0. */
void etcd_test_user_wait(etcd_test_user *u, const int *flag);

/** Opens, and accepts at the listener. */
void etcd_test_user_connect(etcd_test_user *u);

void etcd_test_user_close(etcd_test_user *u);

/** Connects until the queue of a listener with backlog 0 is full: the system leaves further ones without an answer. Returns how
 *  many descriptors it stored. */
int etcd_test_fill_backlog(int listener, int *fds, int max);

#endif
