// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// serveSocket serves the resources as machined does, to whoever may open the socket: its folder is root's.
func (a *agent) serveSocket(ctx context.Context, group *errgroup.Group) error {
	if err := os.MkdirAll(filepath.Dir(a.config.Socket), 0o700); err != nil {
		return fmt.Errorf("failed to make the folder of --socket: %w", err)
	}

	api := talosapi.NewMachine(talosapi.MachineConfig{State: a.state, Version: gendata.VersionTag})

	wait, err := talosapi.Serve(ctx, api, a.config.Socket)
	if err != nil {
		return fmt.Errorf("%w; choose another one with --socket, or none with --socket=", err)
	}

	group.Go(wait)

	return nil
}
