// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/gendata"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// serveAPI serves the machine's API on a unix socket until ctx is done. It
// returns when clients can connect.
func (machine *machine) serveAPI(ctx context.Context) error {
	config := talosapi.MachineConfig{
		State:      machine.state,
		Version:    gendata.VersionTag,
		Reboot:     machine.acceptReboot,
		Containers: machine.containers,
		Restart:    machine.restartContainer,
	}
	if machine.config.EtcdMembers != "" {
		config.Etcd = machine.etcd
	}

	wait, err := talosapi.Serve(ctx, talosapi.NewMachine(config), machine.config.Root.APISocket())
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

// acceptReboot begins a reboot that a client of the API asks for. The kubelet
// always shuts down gracefully, so a reboot that leaves that out is refused.
func (machine *machine) acceptReboot(mode machineapi.RebootRequest_Mode) error {
	if mode == machineapi.RebootRequest_FORCE {
		return status.Error(codes.Unimplemented, "a reboot without a graceful shutdown is not supported")
	}

	machine.logger.Info("reboot requested", zap.Stringer("mode", mode))
	machine.requestReboot()

	return nil
}
