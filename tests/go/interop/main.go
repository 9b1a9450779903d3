// A program with etcd's own Go client that takes turns with ours on one lock, one election, one set of accounts: what both say
// about the other's keys must agree. Started by tests/real/test_interop.c through scripts/build-interop, which builds it.
//
//	interop <subcommand> <endpoints> [arguments]
//
// A subcommand prints lines for the test to read, and exits with 0 if all was as it should be, else with 1 and the reason on
// standard error. It ends when its standard input does: nothing is left behind by a test that dies.
//
// To add one: a file of its own with an init() that calls register().
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A subcommand: the client is connected, args are those behind the endpoints. The context ends with standard input.
type command func(ctx context.Context, client *clientv3.Client, args []string) error

var commands = map[string]command{}

func register(name string, run command) { commands[name] = run }

// say prints a line at once.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func usage() {
	names := make([]string, 0, len(commands))
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: interop %s <endpoints> [arguments]\n", strings.Join(names, "|"))
	os.Exit(2)
}

// endWithInput cancels when standard input is closed.
func endWithInput(cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
}

func main() {
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		usage()
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(os.Args[2], ","),
		DialTimeout: 30 * time.Second,
		Logger:      zap.NewNop(),
	})
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go endWithInput(cancel)
		err = commands[os.Args[1]](ctx, client, os.Args[3:])
		cancel()
		_ = client.Close()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "interop %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
