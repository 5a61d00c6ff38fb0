// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Kubernetes is the programs of a cluster in one binary: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler and a kubelet without a machine under
// it. The first argument says which one it is.
//
// It is a module of its own, without any package of rebound, because nothing else
// may get the replace lines that k8s.io/kubernetes needs, and because it is built
// from more than one version of Kubernetes: go.mod has the one that everything is
// tested with, each other *.mod file has another one. build.sh builds either. The
// sources are the same but for files with a build tag of the kind k8s1.34, where
// the kubelet's own functions differ.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the components' clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // build information among the metrics
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/talos-rebound/rebound/hack/kubernetes/internal/hollow"
)

// commands are the programs but etcd, which is no command.
var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 hollow.NewCommand,
	"static-pods":             hollow.NewStaticPodsCommand,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("which one: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet or static-pods?")
	}

	// The Kubernetes clients take their user agent from here, and the audit log is
	// read by user agents.
	os.Args = os.Args[1:]

	name := os.Args[0]
	if name == "etcd" {
		etcdmain.Main(os.Args)

		return nil
	}

	newCommand, ok := commands[name]
	if !ok {
		return fmt.Errorf("unknown program %q", name)
	}

	command := newCommand()
	command.SetArgs(os.Args[1:])

	if code := cli.Run(command); code != 0 {
		os.Exit(code)
	}

	return nil
}
