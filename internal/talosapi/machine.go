// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package talosapi is a Talos API on loopback with the rules of machined and apid, for tests and for the lab.
//
// A machine answers on its own socket and decides who may read what. An endpoint stands for the apid of a control
// plane node: it takes clients in over TLS, learns their roles from their certificates and passes their calls on to the
// machines they name. An authority signs the certificates of both sides. Rules and messages are those of Talos v1.13.9.
//
// It is not Talos. A machine serves resources and its version, and if it is told how, it reboots and shows its etcd; nothing
// else. It believes the roles that a call claims to have. An endpoint talks to machines, not to their apids. The role os:impersonator gives nothing.
//
// # Why it exists
//
// The real rules cannot be imported: they are in internal packages of Talos, and the machinery module has only the
// client. Without them nothing would test what the check depends on most: which error means that a node has just booted,
// that its Talos was built without rebound, that it is away, or that the caller may not read. The lab needs the same API
// for talosctl and rebound. A container with Talos would be the real thing, and could not have 500 nodes in one test,
// which take 0.4 s here.
//
// It costs about 700 lines of code. What others do better is left to them: grpc-proxy passes calls on and joins
// replies, siderolabs/crypto makes certificates, COSI's own server serves resources. Three things were given up that
// would be 280 more. Connections to machines are not kept, so nothing has to notice that a machine is back. Of
// many nodes in one call only that is asked which machines have, because every other such call ends as Unimplemented anyway.
// And an endpoint's certificate is for loopback alone.
package talosapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
)

// MachineConfig is what a machine answers with.
type MachineConfig struct {
	// State holds the resources, and the definitions of their namespaces and types. Without those nothing can be read.
	// The machine never writes to it.
	State state.State

	// Version is the Talos version that the machine claims to run, such as "v1.13.9". Clients refuse to parse an empty one.
	Version string

	// Reboot begins a reboot in the mode that the caller asks for. It does not wait for its end: the caller gets an answer
	// first. It is called once for every request, concurrently, also while a reboot is under way. Without it such requests are
	// Unimplemented.
	Reboot func(mode machine.RebootRequest_Mode) error

	// Etcd returns what the machine's etcd says. Without it the machine is a worker, and requests about etcd are
	// Unimplemented. It is called for every such request, concurrently.
	Etcd func(ctx context.Context) (Etcd, error)

	// Containers returns the containers of Kubernetes. Restart tells one of them to end, by its id, and an error with a code is
	// passed on. They are called for every such request, concurrently. Without them such requests are Unimplemented.
	Containers func(ctx context.Context) ([]*machine.ContainerInfo, error)
	Restart    func(ctx context.Context, id string) error
}

// Etcd is what the etcd of a control plane node says.
type Etcd struct {
	// Status is its own.
	Status *machine.EtcdMemberStatus

	// Members are those of the cluster.
	Members []*machine.EtcdMember
}

// NewMachine returns the API of one machine, for the caller to serve and to stop. It believes the roles in the metadata
// of a call, so nobody but an endpoint should reach it.
func NewMachine(config MachineConfig) *grpc.Server {
	api := grpc.NewServer(
		grpc.MaxRecvMsgSize(constants.GRPCMaxMessageSize),
		grpc.UnaryInterceptor(authorizeUnary),
		grpc.StreamInterceptor(authorizeStream),
		grpc.WaitForHandlers(true),
	)

	v1alpha1.RegisterStateServer(api, server.NewState(state.Filter(config.State, accessRule(config.State))))
	machine.RegisterMachineServiceServer(api, &machineService{config: config})

	return api
}

// NewState makes an in-memory state as a machine has it right after its boot: no resources yet, but the definitions of
// those that there can be. The keys of namespaces are names, the values descriptions.
func NewState(ctx context.Context, namespaces map[string]string, definitions ...meta.ResourceWithRD) (state.State, error) {
	st := state.WrapCore(namespaced.NewState(inmem.Build))

	known := registry.NewNamespaceRegistry(st)
	resources := registry.NewResourceRegistry(st)

	if err := errors.Join(known.RegisterDefault(ctx), resources.RegisterDefault(ctx)); err != nil {
		return nil, fmt.Errorf("failed to register the resources of COSI: %w", err)
	}

	for name, description := range namespaces {
		if err := known.Register(ctx, name, description); err != nil {
			return nil, fmt.Errorf("failed to register namespace %q: %w", name, err)
		}
	}

	for _, definition := range definitions {
		if err := resources.Register(ctx, definition); err != nil {
			return nil, fmt.Errorf("failed to register resource %q: %w", definition.ResourceDefinition().Type, err)
		}
	}

	return st, nil
}
