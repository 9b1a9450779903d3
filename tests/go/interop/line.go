package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func init() {
	register("lock", func(ctx context.Context, client *clientv3.Client, args []string) error {
		return takeTurns(ctx, client, args, lockOnce)
	})
	register("elect", func(ctx context.Context, client *clientv3.Client, args []string) error {
		return takeTurns(ctx, client, args, leadOnce)
	})
}

// interop lock|elect <endpoints> <name> <workers> <turns of each>
//
// Each worker holds the lock, or leads the election, that many times, and meanwhile adds 1 to the number in the key "counter",
// which nothing else protects. Prints how often that was done.
func takeTurns(ctx context.Context, client *clientv3.Client, args []string,
	once func(context.Context, *concurrency.Session, string, string) error) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments instead of 3", len(args))
	}
	workers, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	turns, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	failures := make(chan error, workers)
	for worker := 0; worker < workers; worker++ {
		go func() {
			session, err := concurrency.NewSession(client, concurrency.WithTTL(60))
			for i := 0; i < turns && err == nil; i++ {
				err = once(ctx, session, args[0], fmt.Sprintf("go-%d-%d", worker, i))
			}
			if session != nil {
				_ = session.Close()
			}
			failures <- err
		}()
	}
	for worker := 0; worker < workers; worker++ {
		if err := <-failures; err != nil {
			return err
		}
	}
	say("%d", workers*turns)
	return nil
}

func count(ctx context.Context, client *clientv3.Client) error {
	got, err := client.Get(ctx, "counter")
	if err != nil {
		return err
	}
	number := 0
	if len(got.Kvs) > 0 {
		if number, err = strconv.Atoi(string(got.Kvs[0].Value)); err != nil {
			return err
		}
	}
	time.Sleep(time.Millisecond)
	_, err = client.Put(ctx, "counter", strconv.Itoa(number+1))
	return err
}

func lockOnce(ctx context.Context, session *concurrency.Session, name, _ string) error {
	mutex := concurrency.NewMutex(session, name)
	if err := mutex.Lock(ctx); err != nil {
		return err
	}
	if err := count(ctx, session.Client()); err != nil {
		return err
	}
	return mutex.Unlock(ctx)
}

func leadOnce(ctx context.Context, session *concurrency.Session, name, value string) error {
	election := concurrency.NewElection(session, name)
	if err := election.Campaign(ctx, value); err != nil {
		return err
	}
	if err := count(ctx, session.Client()); err != nil {
		return err
	}
	value += "!"
	if err := election.Proclaim(ctx, value); err != nil {
		return err
	}
	leader, err := election.Leader(ctx)
	if err != nil {
		return err
	}
	if string(leader.Kvs[0].Value) != value || string(leader.Kvs[0].Key) != election.Key() {
		return fmt.Errorf("%s leads with %q instead of %q", leader.Kvs[0].Key, leader.Kvs[0].Value, value)
	}
	return election.Resign(ctx)
}
