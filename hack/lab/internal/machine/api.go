// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"fmt"
	"net"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// serveAPI serves the state on the unix socket at path until ctx is done. As
// over the API of Talos, everything may be read and nothing written.
func serveAPI(ctx context.Context, st state.State, path string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("failed to listen on %q: %w", path, err)
	}

	api := grpc.NewServer()
	v1alpha1.RegisterStateServer(api, server.NewState(state.Filter(st, readOnly)))

	context.AfterFunc(ctx, api.Stop)

	go api.Serve(listener) //nolint:errcheck // ends with Stop

	return nil
}

func readOnly(_ context.Context, access state.Access) error {
	if access.Verb.Readonly() {
		return nil
	}

	return status.Error(codes.PermissionDenied, "write access is not allowed")
}
