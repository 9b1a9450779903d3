package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func init() { register("lockbench", runLockBench) }

// interop lockbench <endpoints> <contenders> <seconds>
//
// What bench/bench_lock.c measures, with the Go client: of one contender a lock with its unlock, of several the hand-over. Prints
// one line of JSON.
func runLockBench(ctx context.Context, client *clientv3.Client, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments instead of 2", len(args))
	}
	contenders, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	const warmup = 200 * time.Millisecond
	begin := time.Now()
	from, until := begin.Add(warmup), begin.Add(warmup+time.Duration(seconds*float64(time.Second)))
	var released atomic.Int64
	var lock sync.Mutex
	var all []time.Duration
	failures := make(chan error, contenders)
	for i := 0; i < contenders; i++ {
		go func() {
			session, err := concurrency.NewSession(client)
			for err == nil && time.Now().Before(until) {
				mutex := concurrency.NewMutex(session, "bench/golock")
				start := time.Now()
				if err = mutex.Lock(ctx); err != nil {
					break
				}
				now := time.Now()
				took := now.Sub(time.Unix(0, released.Load()))
				known := contenders > 1 && released.Load() != 0
				released.Store(time.Now().UnixNano())
				err = mutex.Unlock(ctx)
				if contenders == 1 {
					now = time.Now()
					took, known = now.Sub(start), true
				}
				if known && now.After(from) && now.Before(until) {
					lock.Lock()
					all = append(all, took)
					lock.Unlock()
				}
			}
			if session != nil {
				_ = session.Close()
			}
			failures <- err
		}()
	}
	for i := 0; i < contenders; i++ {
		if err := <-failures; err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("nobody got the lock")
	}
	sort.Slice(all, func(i, k int) bool { return all[i] < all[k] })
	at := func(share float64) float64 { return float64(all[int(share*float64(len(all)-1))].Nanoseconds()) / 1e3 }
	say(`{"ops_per_s": %.1f, "p50_us": %.2f, "p99_us": %.2f}`, float64(len(all))/seconds, at(0.5), at(0.99))
	return nil
}
