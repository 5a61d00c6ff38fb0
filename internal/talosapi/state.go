// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"
)

// NewState makes an empty in-memory state in which these namespaces, a description by name, and the resources of the
// definitions are registered, besides those of COSI itself: what a machine has right after its boot.
func NewState(ctx context.Context, namespaces map[string]string, definitions ...meta.ResourceWithRD) (state.State, error) {
	st := state.WrapCore(namespaced.NewState(inmem.Build))

	known := registry.NewNamespaceRegistry(st)
	resources := registry.NewResourceRegistry(st)

	if err := errors.Join(known.RegisterDefault(ctx), resources.RegisterDefault(ctx)); err != nil {
		return nil, fmt.Errorf("failed to register the resources of COSI: %w", err)
	}

	for name, description := range namespaces {
		if err := known.Register(ctx, name, description); err != nil {
			return nil, fmt.Errorf("failed to register namespace %q: %w", name, err)
		}
	}

	for _, definition := range definitions {
		if err := resources.Register(ctx, definition); err != nil {
			return nil, fmt.Errorf("failed to register resource %q: %w", definition.ResourceDefinition().Type, err)
		}
	}

	return st, nil
}
