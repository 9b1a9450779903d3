// An etcd 3.5 server for the tests; go.mod pins the release. Built by scripts/build-etcd.
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
