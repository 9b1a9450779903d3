/* Reads and writes from eight threads through whatever a test does to the cluster, and afterwards the proof that the promises
 * held: no call outlived its deadline (P3), no write was applied twice (P1), and every write had one of three outcomes (P2): done
 * and there, failed and not there, or unknown and marked so.
 *
 * Writers put keys of their own, each once, so that the server's version of a key says how often its write was applied; and now
 * and then a counter, whose version must lie between the writes that are known to be done and those that may be. Readers read
 * back, linearizably, what is done: it must be there.
 *
 * Main thread only, but for what it starts. */
#ifndef ETCD3_TESTS_TRAFFIC_H
#define ETCD3_TESTS_TRAFFIC_H

#include "real.h"

struct traffic;

/** Deadlines of the calls. */
struct traffic_options {
    int64_t write_timeout_ms; /* default 1500 */
    int64_t read_timeout_ms;  /* of the patient readers; default 20000. One reader of four is impatient: 250 ms */
    int64_t pause_ms;         /* between two calls of a thread; default 2 */
};

/** Starts the threads on this client, which must outlive them, and waits until all kinds of calls have succeeded. NULL:
 * defaults. */
struct traffic *traffic_start(etcd_client *client, const struct traffic_options *options);

/** The fault begins now: the figures are of what happens from here on. */
void traffic_mark(struct traffic *traffic);

/** Waits until so many reads and writes, begun after the mark, have succeeded; fails the test when that takes 30 s. */
void traffic_await(struct traffic *traffic, uint64_t reads, uint64_t writes);

/** What happened to patient reads and to writes begun after the mark, or under way then. */
struct traffic_figures {
    int64_t first_read_ms, first_write_ms;     /* from the mark to the first success */
    int64_t longest_read_ms, longest_write_ms; /* of those that succeeded */
    uint64_t reads, writes;                    /* that succeeded */
    uint64_t failed_reads, refused_writes, unknown_writes;
};

/** Stops the threads, prints the figures under the name of the fault, and fails the test unless the promises held, as `checker`
 * sees the store; and when a patient read has failed. Frees the traffic. */
struct traffic_figures traffic_end(struct traffic *traffic, etcd_client *checker, const char *fault);

#endif
