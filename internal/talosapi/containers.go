// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Containers lists the containers of Kubernetes, as machined does
// (https://github.com/siderolabs/talos/blob/v1.13.9/internal/app/machined/internal/server/v1alpha1/v1alpha1_server.go).
func (s *machineService) Containers(ctx context.Context, request *machine.ContainersRequest) (*machine.ContainersResponse, error) {
	if s.config.Containers == nil {
		return s.UnimplementedMachineServiceServer.Containers(ctx, request)
	}

	if err := checkDriver(request.GetNamespace(), request.GetDriver()); err != nil {
		return nil, err
	}

	containers, err := s.config.Containers(ctx)
	if err != nil {
		return nil, err
	}

	return &machine.ContainersResponse{Messages: []*machine.Container{{Containers: containers}}}, nil
}

// Restart tells a container to end; to start it again is up to whoever has started it.
func (s *machineService) Restart(ctx context.Context, request *machine.RestartRequest) (*machine.RestartResponse, error) {
	if s.config.Restart == nil {
		return s.UnimplementedMachineServiceServer.Restart(ctx, request)
	}

	if err := checkDriver(request.GetNamespace(), request.GetDriver()); err != nil {
		return nil, err
	}

	if err := s.config.Restart(ctx, request.GetId()); err != nil {
		return nil, err
	}

	return &machine.RestartResponse{Messages: []*machine.Restart{{}}}, nil
}

// checkDriver refuses what is not about the containers of Kubernetes, with the words of machined where it refuses it too.
func checkDriver(namespace string, driver common.ContainerDriver) error {
	switch {
	case namespace == "":
		return status.Error(codes.InvalidArgument, "namespace can't be empty")
	case driver != common.ContainerDriver_CRI:
		return status.Errorf(codes.Unimplemented, "only the driver %s is", common.ContainerDriver_CRI)
	case namespace != constants.K8sContainerdNamespace:
		return status.Error(codes.Unknown, "CRI inspector is supported only for K8s namespace")
	default:
		return nil
	}
}
