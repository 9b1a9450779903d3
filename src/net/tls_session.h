/* One TLS connection without I/O: ciphertext and plaintext, both in and out. The stream that owns it moves the bytes.
 *
 * Fed bytes are borrowed until etcd__tls_session_read() has returned 0 or an error, or while the handshake is not done until
 * etcd__tls_session_handshake() has. What is to be sent collects in `output`, after every call; a failed one leaves an alert
 * there for the peer. Owned by the loop's driving thread. */
#ifndef ETCD__NET_TLS_SESSION_H
#define ETCD__NET_TLS_SESSION_H

#include "base/buf.h"

#include <etcd3/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct etcd__tls;
typedef struct etcd__tls_session etcd__tls_session;

/** A client's side that has said nothing yet. `server_name` is asked for and verified unless the options say another; `peer`
 *  is the address, for messages. Reads the files of the options again when they changed. */
int etcd__tls_session_new(struct etcd__tls *tls, const char *server_name, const char *peer, etcd__tls_session **out,
                          etcd_error *err);

/** Sends nothing. NULL is allowed. */
void etcd__tls_session_free(etcd__tls_session *session);

void etcd__tls_session_feed(etcd__tls_session *session, const uint8_t *data, size_t len);

/** Goes on with the handshake: 1 when it is done, 0 when more must be fed, a negative code when it failed. */
int etcd__tls_session_handshake(etcd__tls_session *session, etcd_error *err);

/** Whether the handshake is done and was verified. */
bool etcd__tls_session_established(const etcd__tls_session *session);

/** Whether it continued an earlier session. */
bool etcd__tls_session_resumed(const etcd__tls_session *session);

/** An established one in words: version, cipher, whether it continued an earlier one. */
void etcd__tls_session_describe(const etcd__tls_session *session, char *text, size_t size);

/** Plaintext: how many bytes, 0 when what was fed is used up, a negative code when the connection is over. */
ssize_t etcd__tls_session_read(etcd__tls_session *session, uint8_t *data, size_t size, etcd_error *err);

/** Encrypts all `len` bytes into the output. */
int etcd__tls_session_write(etcd__tls_session *session, const uint8_t *data, size_t len, etcd_error *err);

/** Queues the farewell (close_notify) of an established connection. */
void etcd__tls_session_say_bye(etcd__tls_session *session);

/** What is to be sent; consume what was. */
etcd__buf *etcd__tls_session_output(etcd__tls_session *session);

#endif
