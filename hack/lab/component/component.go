// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package component starts the programs that a lab consists of.
//
// Those of Kubernetes, etcd among them, are in a binary of their own, which
// hack/kubernetes builds: it is there to be built from more than one version.
// The others are the running binary, be it the lab or a test of the lab, executed
// again with an environment variable that says what it is this time. That is why
// [RunIfAsked] has to come first in main and in TestMain.
//
// No process outlives the lab. One that is the running binary has a pipe to the
// lab as its standard input, and ends itself when that does, even if the lab was
// killed; the kernel ends the others. The tests of package lab that end a lab in
// every way are the tests of this one.
package component

import (
	"errors"
	"fmt"
	"os"

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
	// StaticPods is the part of a kubelet that reads static pods, alone.
	StaticPods Name = "static-pods"
	// Janitor removes the lab's folder when the lab has died without doing so.
	Janitor Name = "janitor"
	// Rebooter asks the logind at a bus address for a reboot, as systemctl reboot does.
	Rebooter Name = "rebooter"
	// Named is another program, under a host name of its own.
	Named Name = "named"
)

// environment is the variable that makes a process a component.
const environment = "REBOUND_LAB_COMPONENT"

// Environ returns the variable, with its value, that makes the running binary a
// component wherever it is executed: for programs that are given a command.
func Environ(name Name) string { return environment + "=" + string(name) }

// RunIfAsked turns this process into the component that it was started as, in
// which case it does not return. In any other process it does nothing.
func RunIfAsked() {
	name, ok := os.LookupEnv(environment)
	if !ok {
		return
	}

	if err := os.Unsetenv(environment); err != nil {
		exit(Name(name), err)
	}

	exit(Name(name), run(Name(name), os.Args[1:]))
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
	switch name {
	case Janitor:
		return clean(args)
	case Rebooter:
		return reboot(args)
	case Named:
		return execNamed(args)
	case Node:
		dieWithParent()

		return machine.Main(args, startKubelet)
	default:
		return fmt.Errorf("unknown component %q", name)
	}
}
