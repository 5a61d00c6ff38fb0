// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"

	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// serveAPI serves the machine's API on a unix socket until ctx is done. It
// returns when clients can connect.
func (machine *machine) serveAPI(ctx context.Context) error {
	api := talosapi.NewMachine(talosapi.MachineConfig{
		State:   machine.state,
		Version: gendata.VersionTag,
	})

	wait, err := talosapi.Serve(ctx, api, machine.config.Root.APISocket())
	if err != nil {
		return err
	}

	go func() {
		if err := wait(); err != nil {
			machine.logger.Error("the API went away", zap.Error(err))
		}
	}()

	return nil
}
