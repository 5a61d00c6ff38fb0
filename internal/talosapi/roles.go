// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

var errNotAuthorized = status.Error(codes.PermissionDenied, "not authorized")

// authorize returns an error unless the caller has a role for the method. Some are for readers, the rest for admins.
func authorize(ctx context.Context, method string) error {
	allowed := role.MakeSet(role.Admin)

	switch method {
	case v1alpha1.State_Get_FullMethodName, v1alpha1.State_List_FullMethodName, v1alpha1.State_Watch_FullMethodName,
		machine.MachineService_Version_FullMethodName:
		allowed = role.MakeSet(role.Admin, role.Operator, role.Reader)
	}

	if !allowed.IncludesAny(forwardedRoles(ctx)) {
		return errNotAuthorized
	}

	return nil
}

func authorizeUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}

	return next(ctx, request)
}

func authorizeStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := authorize(stream.Context(), info.FullMethod); err != nil {
		return err
	}

	return next(service, stream)
}

// forwardedRoles returns the roles that an endpoint forwarded with the call.
func forwardedRoles(ctx context.Context) role.Set {
	// Roles that this version does not know are part of the set and match nothing.
	roles, _ := role.Parse(metadata.ValueFromIncomingContext(ctx, constants.APIAuthzRoleMetadataKey))

	return roles
}

// certificateRoles returns the roles that the certificate of an endpoint's caller names as its organizations. Every
// caller has one: the handshake has verified it.
func certificateRoles(ctx context.Context) role.Set {
	caller, _ := peer.FromContext(ctx)
	certificate := caller.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0]

	roles, _ := role.Parse(certificate.Subject.Organization)

	return roles
}
