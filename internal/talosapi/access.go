// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
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

// accessRule returns the rule for which resources of st a call may touch. A type or namespace that is not defined in st
// does not exist for clients.
func accessRule(st state.State) state.FilteringRule {
	return func(ctx context.Context, access state.Access) error {
		if !access.Verb.Readonly() {
			return status.Error(codes.PermissionDenied, "write access is not allowed")
		}

		definition, err := safe.StateGetByID[*meta.ResourceDefinition](ctx, st, strings.ToLower(access.ResourceType))
		if err != nil {
			return unsupported("resource type", access.ResourceType, err)
		}

		if definition.TypedSpec().Sensitivity != meta.NonSensitive && !forwardedRoles(ctx).Includes(role.Admin) {
			return errNotAuthorized
		}

		if _, err = safe.StateGetByID[*meta.Namespace](ctx, st, access.ResourceNamespace); err != nil {
			return unsupported("namespace", access.ResourceNamespace, err)
		}

		return nil
	}
}

// unsupported is what a client is told when the definition of something cannot be read.
func unsupported(kind, name string, err error) error {
	if state.IsNotFoundError(err) {
		return status.Errorf(codes.PermissionDenied, "%s %q is not supported", kind, name)
	}

	return fmt.Errorf("failed to read the definition of %s %q: %w", kind, name, err)
}

var errNotAuthorized = status.Error(codes.PermissionDenied, "not authorized")

// rules are the roles that a caller needs one of, by method. They are those of Talos v1.13.9 for the methods that a machine
// has (internal/app/machined/pkg/system/services/machined.go).
var rules = map[string]role.Set{
	v1alpha1.State_Get_FullMethodName:   role.MakeSet(role.Admin, role.Operator, role.Reader),
	v1alpha1.State_List_FullMethodName:  role.MakeSet(role.Admin, role.Operator, role.Reader),
	v1alpha1.State_Watch_FullMethodName: role.MakeSet(role.Admin, role.Operator, role.Reader),

	machine.MachineService_Containers_FullMethodName:     role.MakeSet(role.Admin, role.Operator, role.Reader),
	machine.MachineService_EtcdMemberList_FullMethodName: role.MakeSet(role.Admin, role.Operator, role.Reader, role.EtcdBackup),
	machine.MachineService_EtcdStatus_FullMethodName:     role.MakeSet(role.Admin, role.Operator, role.Reader, role.EtcdBackup),
	machine.MachineService_Reboot_FullMethodName:         role.MakeSet(role.Admin, role.Operator),
	machine.MachineService_Restart_FullMethodName:        role.MakeSet(role.Admin, role.Operator),
	machine.MachineService_Version_FullMethodName:        role.MakeSet(role.Admin, role.Operator, role.Reader),
}

// authorize returns an error unless the caller has a role for the method. What has no rule is for admins.
func authorize(ctx context.Context, method string) error {
	allowed, ok := rules[method]
	if !ok {
		allowed = role.MakeSet(role.Admin)
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
	// Unknown roles stay in the set and match nothing.
	roles, _ := role.Parse(metadata.ValueFromIncomingContext(ctx, constants.APIAuthzRoleMetadataKey))

	return roles
}

// certificateRoles returns the roles of an endpoint's caller. They are the organizations in its certificate, which every
// caller has and the handshake has verified.
func certificateRoles(ctx context.Context) role.Set {
	caller, _ := peer.FromContext(ctx)
	certificate := caller.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0]

	roles, _ := role.Parse(certificate.Subject.Organization)

	return roles
}
