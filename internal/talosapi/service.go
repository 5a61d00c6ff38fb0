// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"crypto/rand"
	"runtime"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// machineService tells the version, and what the configuration has. All its other calls are Unimplemented.
type machineService struct {
	machine.UnimplementedMachineServiceServer

	config MachineConfig
}

// Version implements machine.MachineServiceServer.
func (s *machineService) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	return &machine.VersionResponse{
		Messages: []*machine.Version{{
			Version: &machine.VersionInfo{
				Tag:       s.config.Version,
				GoVersion: runtime.Version(),
				Os:        runtime.GOOS,
				Arch:      runtime.GOARCH,
			},
			Features: &machine.FeaturesInfo{Rbac: true},
		}},
	}, nil
}

// Reboot implements machine.MachineServiceServer.
func (s *machineService) Reboot(ctx context.Context, request *machine.RebootRequest) (*machine.RebootResponse, error) {
	if s.config.Reboot == nil {
		return s.UnimplementedMachineServiceServer.Reboot(ctx, request)
	}

	if err := s.config.Reboot(request.GetMode()); err != nil {
		return nil, err
	}

	return &machine.RebootResponse{Messages: []*machine.Reboot{{ActorId: rand.Text()}}}, nil
}

// EtcdStatus implements machine.MachineServiceServer.
func (s *machineService) EtcdStatus(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	etcd, err := s.etcd(ctx, "etcd status")
	if err != nil {
		return nil, err
	}

	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{{MemberStatus: etcd.Status}}}, nil
}

// EtcdMemberList implements machine.MachineServiceServer.
func (s *machineService) EtcdMemberList(ctx context.Context, _ *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	etcd, err := s.etcd(ctx, "member list")
	if err != nil {
		return nil, err
	}

	members := &machine.EtcdMembers{Members: etcd.Members}

	for _, member := range etcd.Members {
		members.LegacyMembers = append(members.LegacyMembers, member.GetHostname())
	}

	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{members}}, nil
}

// etcd asks the machine's etcd. api is what Talos calls that which is asked for.
func (s *machineService) etcd(ctx context.Context, api string) (Etcd, error) {
	if s.config.Etcd == nil {
		return Etcd{}, status.Errorf(codes.Unimplemented, "%s is only available on control plane nodes", api)
	}

	return s.config.Etcd(ctx)
}
