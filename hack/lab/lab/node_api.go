// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	talosv1alpha1 "github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// connection is a connection to the API of one boot of a node.
type connection struct {
	grpc  *grpc.ClientConn
	state state.State
}

// COSI returns the node's COSI state as the Talos API shows it: to read and to
// watch, not to write. It belongs to the current boot; after a reboot, ask
// again. A watch ends with an error when the node goes down.
func (node *Node) COSI() (state.State, error) {
	if node.api != nil {
		return node.api.state, nil
	}

	conn, err := grpc.NewClient("unix://"+node.config.Root.APISocket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(asAdmin{}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to connect to node %q: %w", node.name, err)
	}

	node.api = &connection{
		grpc:  conn,
		state: state.WrapCore(client.NewAdapter(v1alpha1.NewStateClient(conn), client.WithDisableWatchRetry())),
	}

	return node.api.state, nil
}

// asAdmin makes calls those of an admin: a machine believes whoever reaches its
// socket, where on Talos only apid does.
type asAdmin struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (asAdmin) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{constants.APIAuthzRoleMetadataKey: string(role.Admin)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (asAdmin) RequireTransportSecurity() bool { return false }

func (node *Node) disconnect() error {
	if node.api == nil {
		return nil
	}

	err := node.api.grpc.Close()
	node.api = nil

	return err
}

// WaitKubeletHealthy waits until the kubelet passes Talos' health check, and
// returns the time at which it did according to the node.
func (node *Node) WaitKubeletHealthy(ctx context.Context) (time.Time, error) {
	st, err := node.COSI()
	if err != nil {
		return time.Time{}, err
	}

	ctx, cancel := node.whileRunning(ctx)
	defer cancel()

	service, err := st.WatchFor(ctx, talosv1alpha1.NewService("kubelet").Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		service, ok := res.(*talosv1alpha1.Service)

		return ok && service.TypedSpec().Running && service.TypedSpec().Healthy, nil
	}))
	if err != nil {
		return time.Time{}, fmt.Errorf("failed to wait for the kubelet of node %q: %w", node.name, errors.Join(err, context.Cause(ctx)))
	}

	return service.Metadata().Updated(), nil
}
