// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// accessRule returns which resources of st a call may touch. Everything it needs to know is in st itself: what is not
// defined there does not exist for clients.
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
