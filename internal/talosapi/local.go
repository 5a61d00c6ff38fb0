// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"fmt"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Local is the state of a machine behind its own socket: to read and to watch, not to write. A watch ends with an error when
// the machine goes away.
type Local struct {
	state.State

	connection *grpc.ClientConn
}

// OpenLocal makes a client of the machine's socket at path. It sends nothing yet. If patient, requests wait for a machine
// that does not listen; else they fail at once.
func OpenLocal(path string, patient bool) (*Local, error) {
	connection, err := grpc.NewClient("unix://"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(asReader{}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(patient)),
	)
	if err != nil {
		return nil, fmt.Errorf("failed to use socket %q: %w", path, err)
	}

	adapter := client.NewAdapter(v1alpha1.NewStateClient(connection), client.WithDisableWatchRetry())

	return &Local{State: state.WrapCore(adapter), connection: connection}, nil
}

// Close ends what is under way.
func (l *Local) Close() error { return l.connection.Close() }

// asReader makes calls those of a reader: a machine believes whoever reaches its socket, where on Talos only apid does.
type asReader struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (asReader) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{constants.APIAuthzRoleMetadataKey: string(role.Reader)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (asReader) RequireTransportSecurity() bool { return false }
