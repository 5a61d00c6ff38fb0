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
package component

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"google.golang.org/grpc/grpclog"
)

// Name says which component a process is.
type Name string

// The components.
const (
	Etcd              Name = "etcd"
	APIServer         Name = "kube-apiserver"
	ControllerManager Name = "kube-controller-manager"
	Scheduler         Name = "kube-scheduler"
	// Node is one boot of one node.
	Node Name = "node"
	// Janitor removes the lab's folder when the lab has died without doing so.
	Janitor Name = "janitor"
)

// environment is the variable that makes a process a component.
const environment = "REBOUND_LAB_COMPONENT"

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

// Command returns a command that runs the component with the arguments it has
// when it is a program by itself.
func Command(name Name, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("failed to find the running binary: %w", err)
	}

	cmd := exec.Command(self, args...)
	// The Kubernetes clients take their user agent from here, and the audit log
	// is read by user agents.
	cmd.Args[0] = string(name)
	cmd.Env = append(os.Environ(), environment+"="+string(name))

	return cmd, nil
}

// quietGRPC takes back that a package of the API server makes gRPC log. A node
// that is away would be a warning with every attempt to reach it.
func quietGRPC() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

func exit(name Name, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}

	os.Exit(0)
}
