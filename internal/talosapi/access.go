// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosi-project/runtime/pkg/resource"
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

		if err := checkType(ctx, st, access.ResourceType); err != nil {
			return err
		}

		return checkNamespace(ctx, st, access.ResourceNamespace)
	}
}

func checkType(ctx context.Context, st state.State, resourceType resource.Type) error {
	definition, err := safe.StateGetByID[*meta.ResourceDefinition](ctx, st, strings.ToLower(resourceType))
	if state.IsNotFoundError(err) {
		return status.Errorf(codes.PermissionDenied, "resource type %q is not supported", resourceType)
	}

	if err != nil {
		return fmt.Errorf("failed to read the definition of resource type %q: %w", resourceType, err)
	}

	switch sensitivity := definition.TypedSpec().Sensitivity; sensitivity {
	case meta.NonSensitive:
		return nil
	case meta.Sensitive:
		if forwardedRoles(ctx).Includes(role.Admin) {
			return nil
		}

		return errNotAuthorized
	default:
		return fmt.Errorf("unexpected sensitivity %q", sensitivity)
	}
}

func checkNamespace(ctx context.Context, st state.State, namespace resource.Namespace) error {
	_, err := safe.StateGetByID[*meta.Namespace](ctx, st, namespace)
	if state.IsNotFoundError(err) {
		return status.Errorf(codes.PermissionDenied, "namespace %q is not supported", namespace)
	}

	if err != nil {
		return fmt.Errorf("failed to read the definition of namespace %q: %w", namespace, err)
	}

	return nil
}
