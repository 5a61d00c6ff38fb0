// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"testing/fstest"
)

const (
	controllerPath  = "internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_controller.go"
	statePath       = "internal/app/machined/pkg/runtime/v1alpha2/v1alpha2_state.go"
	checksPath      = "pkg/cluster/check/default.go"
	checkPath       = "pkg/cluster/check/rebound.go"
	checksList      = "internal/app/machined/pkg/controllers/runtime/internal/diagnostics/diagnostic.go"
	diagnosticPath  = "internal/app/machined/pkg/controllers/runtime/internal/diagnostics/rebound.go"
	diagnosticsPath = "internal/app/machined/pkg/controllers/runtime/diagnostics.go"
	tagPath         = "pkg/machinery/gendata/data/tag"
)

// talos is a small tree with the shapes that matter. Every call returns a new one.
func talos() fstest.MapFS {
	tree := fstest.MapFS{}

	for path, text := range map[string]string{
		"go.mod": `module github.com/siderolabs/talos

go 1.26.6

replace github.com/siderolabs/talos/pkg/machinery => ./pkg/machinery

require (
	github.com/cosi-project/runtime v1.14.1
	github.com/siderolabs/talos/pkg/machinery v1.13.9 // in-tree
)
`,
		tagPath: "v1.13.9\n",
		controllerPath: `package v1alpha2

import (
	"context"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"go.uber.org/zap"

	"github.com/siderolabs/talos/internal/app/machined/pkg/controllers/block"
	"github.com/siderolabs/talos/internal/app/machined/pkg/controllers/v1alpha1"
)

// Run registers and runs.
func (ctrl *Controller) Run(ctx context.Context) error {
	logger := zap.NewNop()

	// The order does not matter.
	for _, c := range []controller.Controller{
		&block.DisksController{},
		&block.WaitController{
			Wait: time.Second,
		},
		&v1alpha1.ServiceController{
			// V1Alpha1Events tells.
			V1Alpha1Events: ctrl.Events(logger),
		}, // the last one
	} {
		if err := ctrl.runtime.RegisterController(c); err != nil {
			return err
		}
	}

	return ctrl.runtime.Run(ctx)
}
`,
		statePath: `package v1alpha2

import (
	"context"

	"github.com/cosi-project/runtime/pkg/resource/meta"

	"github.com/siderolabs/talos/pkg/machinery/resources/block"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
)

// NewState registers.
func NewState(ctx context.Context) (*State, error) {
	for _, r := range []meta.ResourceWithRD{
		&block.Disk{},
		&v1alpha1.Service{},
	} {
		if err := register(ctx, r); err != nil {
			return nil, err
		}
	}

	return &State{}, nil
}
`,
		checksPath: `package check

import (
	"context"
	"slices"
	"time"

	"github.com/siderolabs/talos/pkg/conditions"
)

// DefaultClusterChecks returns the checks.
func DefaultClusterChecks() []ClusterCheck {
	return slices.Concat(
		PreBootSequenceChecks(),
		[]ClusterCheck{
			// wait for the nodes
			func(cluster ClusterInfo) conditions.Condition {
				return conditions.PollingCondition("nodes", func(ctx context.Context) error {
					return nodes(ctx, cluster)
				}, 5*time.Second)
			},
		},
	)
}

// PreBootSequenceChecks returns others.
func PreBootSequenceChecks() []ClusterCheck {
	return []ClusterCheck{apid}
}
`,
		checksList: `package diagnostics

import (
	"time"
)

// Checks returns the checks.
func Checks() []CheckDescription {
	return []CheckDescription{
		{
			ID:         "address-overlap",
			Hysteresis: 30 * time.Second,
			Check:      AddressOverlapCheck,
		},
	}
}
`,
		diagnosticsPath: `package runtime

import (
	"github.com/cosi-project/runtime/pkg/controller"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// Inputs implements controller.Controller interface.
func (ctrl *DiagnosticsController) Inputs() []controller.Input {
	return []controller.Input{
		{
			Namespace: network.NamespaceName,
			Type:      network.NodeAddressType,
			Kind:      controller.InputWeak,
		},
	}
}
`,
	} {
		tree[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}

	return tree
}
