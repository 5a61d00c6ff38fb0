// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package component holds the programs that a lab consists of, all in one
// binary: whatever binary links it, be it the lab or a test of the lab.
//
// The Kubernetes components are configured by process-wide state and cannot be
// stopped or started twice in one process, so each of them is a process of its
// own: the running binary executed again, with an environment variable that
// says what it is this time. That is why [RunIfAsked] has to come first in
// main and in TestMain.
//
// No process outlives the lab: its standard input is a pipe to the lab, and it
// ends itself when that does, even if the lab was killed. The tests of package
// lab that end a lab in every way are the tests of this one.
package component

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"google.golang.org/grpc/grpclog"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the components' clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // build information among the metrics
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/talos-rebound/rebound/hack/lab/internal/hollow"
	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// Name says which component a process is.
type Name string

// The components.
const (
	Etcd              Name = "etcd"
	APIServer         Name = "kube-apiserver"
	ControllerManager Name = "kube-controller-manager"
	Scheduler         Name = "kube-scheduler"
	// Node is one boot of one node, without its kubelet, which it starts.
	Node    Name = "node"
	Kubelet Name = "kubelet"
	// Janitor removes the lab's folder when the lab has died without doing so.
	Janitor Name = "janitor"
	// Rebooter asks the logind at a bus address for a reboot, as systemctl reboot does.
	Rebooter Name = "rebooter"
)

// environment is the variable that makes a process a component.
const environment = "REBOUND_LAB_COMPONENT"

// Environ returns the variable, with its value, that makes the running binary a
// component wherever it is executed: for programs that are given a command.
func Environ(name Name) string { return environment + "=" + string(name) }

// RunIfAsked turns this process into the component that it was started as, in
// which case it does not return. In any other process it does nothing but keep
// what is linked for the components from logging to standard error.
func RunIfAsked() {
	name, ok := os.LookupEnv(environment)
	if !ok {
		quietGRPC()

		return
	}

	if err := os.Unsetenv(environment); err != nil {
		exit(Name(name), err)
	}

	exit(Name(name), run(Name(name), os.Args[1:]))
}

// quietGRPC takes back that a package of the API server makes gRPC log. A node
// that is away would be a warning with every attempt to reach it.
func quietGRPC() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

func exit(name Name, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)

		var coded interface{ ExitCode() int }
		if errors.As(err, &coded) {
			os.Exit(coded.ExitCode())
		}

		os.Exit(1)
	}

	os.Exit(0)
}

// run is the component's main function.
func run(name Name, args []string) error {
	switch name { //nolint:exhaustive // the others have a parent to die with
	case Janitor:
		return clean(args)
	case Rebooter:
		return reboot(args)
	case Kubelet:
		return execute(hollow.NewCommand(), args)
	}

	dieWithParent()

	switch name {
	case Etcd:
		etcdmain.Main(append([]string{string(name)}, args...))

		return nil
	case APIServer:
		return execute(apiserver.NewAPIServerCommand(), args)
	case ControllerManager:
		return execute(controllermanager.NewControllerManagerCommand(), args)
	case Scheduler:
		return execute(scheduler.NewSchedulerCommand(), args)
	case Node:
		quietGRPC()

		return machine.Main(args, startKubelet)
	case Janitor, Rebooter, Kubelet:
	}

	return fmt.Errorf("unknown component %q", name)
}

// startKubelet starts a kubelet that the kernel ends with this process, even if it
// is stopped by a signal and could not see the end of a lifeline.
func startKubelet(folder, log string, args ...string) (machine.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("failed to find the running binary: %w", err)
	}

	return StartProgram(self, folder, log, append(os.Environ(), Environ(Kubelet)), args...)
}

func execute(command *cobra.Command, args []string) error {
	command.SetArgs(args)

	if code := cli.Run(command); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}

	return nil
}
