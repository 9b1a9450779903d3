package main

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func init() { register("stm", runSTM) }

// interop stm <endpoints> <accounts> <workers> <transfers of each> <isolation: 0 to 3, the strongest first>
//
// Moves amounts between the accounts "account/0" ..., and prints how many transfers it has done.
func runSTM(ctx context.Context, client *clientv3.Client, args []string) error {
	var numbers [4]int
	if len(args) != len(numbers) {
		return fmt.Errorf("%d arguments instead of %d", len(args), len(numbers))
	}
	for i, text := range args {
		number, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		numbers[i] = number
	}
	levels := []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads,
		concurrency.ReadCommitted}
	failures := make(chan error, numbers[1])
	for worker := 0; worker < numbers[1]; worker++ {
		random := rand.New(rand.NewSource(int64(worker + 1)))
		go func() {
			var err error
			for i := 0; i < numbers[2] && err == nil; i++ {
				err = transfer(ctx, client, numbers[0], levels[numbers[3]], random)
			}
			failures <- err
		}()
	}
	for worker := 0; worker < numbers[1]; worker++ {
		if err := <-failures; err != nil {
			return err
		}
	}
	say("%d", numbers[1]*numbers[2])
	return nil
}

func transfer(ctx context.Context, client *clientv3.Client, accounts int, level concurrency.Isolation, random *rand.Rand) error {
	from := random.Intn(accounts)
	to := (from + 1 + random.Intn(accounts-1)) % accounts
	_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
		payer, payee := fmt.Sprintf("account/%d", from), fmt.Sprintf("account/%d", to)
		has, err := strconv.Atoi(stm.Get(payer))
		if err != nil {
			return err
		}
		gets, err := strconv.Atoi(stm.Get(payee))
		if err != nil {
			return err
		}
		stm.Put(payer, strconv.Itoa(has-1))
		stm.Put(payee, strconv.Itoa(gets+1))
		return nil
	}, concurrency.WithIsolation(level), concurrency.WithAbortContext(ctx))
	return err
}
