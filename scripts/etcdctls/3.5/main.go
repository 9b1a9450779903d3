// The etcdctl of etcd 3.5, that etcd3ctl is compared with; go.mod pins the release. Built by scripts/build-etcd.
//
// SPDX-License-Identifier: Apache-2.0
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
