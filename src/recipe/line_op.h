/* One operation on a line, as line.c (how it begins and ends) and line_steps.c (what it does) see it. */
#ifndef ETCD__RECIPE_LINE_OP_H
#define ETCD__RECIPE_LINE_OP_H

#include "recipe/line.h"

#include <etcd3/txn.h>
#include <etcd3/watch.h>

/** A chain of calls and watches, each made in the callback of the one before; so it belongs to the driver from the first
 *  callback on. Its beginning, on the thread of the program, is under the session's lock, which each callback takes once, to
 *  come after it. */
typedef struct etcd__line_op {
    /* constant */
    etcd__line *line;
    etcd__line_what what;
    char *value;
    size_t value_len;
    bool require_leader;
    char *traceparent;
    etcd__line_fn done; /* NULL: `blocked` waits */
    void *arg;
    struct etcd__line_blocked *blocked;
    /* the session's lock */
    etcd__waiter waiter; /* its call is the guard: a request that is never sent, but has the deadline, the cancel switch and the
                            number of the whole operation */
    /* the driver */
    unsigned refs;      /* callbacks owed: of the guard, a step, the watch */
    bool started;       /* the first step was made; before, `behind` is waited for */
    bool told;          /* the program knows the end */
    bool nothing_to_do; /* the guard's end is a success */
    bool stepping;      /* a step is under way */
    bool reading;       /* ... that changes nothing */
    etcd_call_id step;
    etcd_watch *watch;
    char *awaited; /* the key before ours */
    size_t awaited_len;
    bool stale;       /* something has happened since the look that is under way began */
    int64_t revision; /* create revision of our key; 0: not known */
    int64_t seen;     /* revision up to which the line is known */
    bool uncertain;   /* an attempt may have been done */
    bool mine;        /* the key was put by this operation */
    bool set_value;   /* the key has another value */
    bool won;
    int attempts; /* of the present step, that failed */
    etcd_response_header header;
    etcd_error last_error; /* why the present step is done again */
} etcd__line_op;

/* line.c */

/** The operation is over, with NULL `err` successfully; no step may be under way but one that goes on in the background.
 *  The last thing that a callback does with it. The driver. */
void etcd__line_op_end(etcd__line_op *op, const etcd_error *err);

/** Ends the watch, if there is one. The driver, in a callback. */
void etcd__line_op_unwatch(etcd__line_op *op);

/** A step has ended after the program was told: goes on tidying up, or makes room for the next operation. The driver. */
void etcd__line_op_tidy(etcd__line_op *op);

/** Each callback begins with hold() and ends with release(), which drops its reference. */
void etcd__line_op_hold(etcd__line_op *op);
void etcd__line_op_release(etcd__line_op *op);

/* line_steps.c */

/** Makes the first step. After a failure the operation cannot go on. Either under the lock before any callback, or on the
 *  driver. */
int etcd__line_op_begin(etcd__line_op *op, etcd_error *err);

/** Whether the program's answer leaves a key that has to go; if so, starts to delete it. */
bool etcd__line_op_undo(etcd__line_op *op);

/** What it waits for, for people. */
void etcd__line_op_describe(const etcd__line_op *op, char *text, size_t size);

#endif
