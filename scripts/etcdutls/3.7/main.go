// The etcdutl of etcd 3.7, with which snapshots are restored; go.mod pins the release. Built by scripts/build-etcd.
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
)

func main() {
	root := &cobra.Command{Use: "etcdutl"}
	root.AddCommand(etcdutl.NewSnapshotCommand(), etcdutl.NewVersionCommand())
	if root.Execute() != nil {
		os.Exit(1)
	}
}
