// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
)

// buildable is a tree of Talos that can be built: as little of it as rebound touches, on the real COSI runtime and the
// real machinery. The versions are those of this repository.
func buildable(t *testing.T) (string, *os.Root) {
	t.Helper()

	folder := t.TempDir()
	repository, err := filepath.Abs("../..")
	require.NoError(t, err)

	goMod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	require.NoError(t, err)

	goSum, err := os.ReadFile(filepath.Join(repository, "go.sum"))
	require.NoError(t, err)

	for path, text := range map[string]string{
		"go.mod": strings.Replace(string(goMod), "module "+embed.Module, "module github.com/siderolabs/talos", 1),
		"go.sum": string(goSum),
		tagPath:  "v1.13.9\n",
		"internal/app/machined/pkg/controllers/block/block.go": `package block

import (
	"context"

	"github.com/cosi-project/runtime/pkg/controller"
	"go.uber.org/zap"
)

type DisksController struct{ Mode string }

func (*DisksController) Name() string                 { return "block.DisksController" }
func (*DisksController) Inputs() []controller.Input   { return nil }
func (*DisksController) Outputs() []controller.Output {
	return []controller.Output{{Type: "Disks.block.talos.dev", Kind: controller.OutputExclusive}}
}

func (*DisksController) Run(ctx context.Context, _ controller.Runtime, _ *zap.Logger) error {
	<-ctx.Done()

	return nil
}

type namedController struct {
	DisksController

	name    string
	outputs []controller.Output
}

func (c *namedController) Name() string                 { return c.name }
func (c *namedController) Outputs() []controller.Output { return c.outputs }

// NewNamedController keeps what machined gives to it.
func NewNamedController(name string, _ func(), _ bool) controller.Controller {
	return &namedController{name: name}
}

// NewDemandingController needs what machined gives to it.
func NewDemandingController(reboot func()) *DemandingController {
	reboot()

	return &DemandingController{}
}

type DemandingController struct{ namedController }

func (c *DemandingController) Name() string { return "block.DemandingController" }

// NewRivalController wants the recovery status for itself.
func NewRivalController() controller.Controller {
	return &namedController{name: "block.RivalController", outputs: []controller.Output{
		{Type: "RecoveryStatuses.recovery.talos.dev", Kind: controller.OutputExclusive},
	}}
}
`,
		controllerPath: `package v1alpha2

import (
	"context"

	"github.com/cosi-project/runtime/pkg/controller"
	osruntime "github.com/cosi-project/runtime/pkg/controller/runtime"

	"github.com/siderolabs/talos/internal/app/machined/pkg/controllers/block"
)

type Controller struct {
	mode    string
	reboot  func()
	runtime *osruntime.Runtime
}

func (ctrl *Controller) Run(ctx context.Context) error {
	for _, c := range []controller.Controller{
		&block.DisksController{
			Mode: ctrl.mode,
		},
		block.NewNamedController("block.RebootController", ctrl.reboot, true),
		block.NewNamedController("block.OtherController", nil, true),
		block.NewDemandingController(ctrl.reboot),
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
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"

	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
)

type State struct{ resources state.State }

func (s *State) Resources() state.State { return s.resources }

func NewState() (*State, error) {
	s := &State{resources: state.WrapCore(namespaced.NewState(inmem.Build))}
	definitions := registry.NewResourceRegistry(s.resources)

	if err := registry.NewNamespaceRegistry(s.resources).RegisterDefault(context.Background()); err != nil {
		return nil, err
	}

	if err := definitions.RegisterDefault(context.Background()); err != nil {
		return nil, err
	}

	for _, r := range []meta.ResourceWithRD{
		&v1alpha1.Service{},
	} {
		if err := definitions.Register(context.Background(), r); err != nil {
			return nil, err
		}
	}

	return s, nil
}
`,
		"pkg/conditions/conditions.go": `package conditions

import (
	"context"
	"errors"
	"time"
)

type Condition interface{ Wait(ctx context.Context) error }

var ErrSkipAssertion = errors.New("SKIP")

func PollingCondition(_ string, assertion func(ctx context.Context) error, _ time.Duration) Condition { return nil }
`,
		"pkg/cluster/check/check.go": `package check

import (
	"net/netip"

	"github.com/siderolabs/talos/pkg/conditions"
	"github.com/siderolabs/talos/pkg/machinery/client"
)

type ClusterInfo interface {
	Client(endpoints ...string) (*client.Client, error)
	Nodes() []netip.Addr
}

type ClusterCheck func(ClusterInfo) conditions.Condition

func mapNodeInfosToInternalIPs(nodes []netip.Addr) []netip.Addr { return nodes }

func mapIPsToStrings([]netip.Addr) []string { return nil }
`,
		checksPath: `package check

import (
	"github.com/siderolabs/talos/pkg/conditions"
)

func DefaultClusterChecks() []ClusterCheck {
	return []ClusterCheck{
		func(ClusterInfo) conditions.Condition { return nil },
	}
}
`,
		checksList: `package diagnostics

import (
	"context"

	"github.com/cosi-project/runtime/pkg/controller"
	"go.uber.org/zap"

	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

type CheckDescription struct {
	ID    string
	Check func(ctx context.Context, r controller.Reader, logger *zap.Logger) (*runtime.DiagnosticSpec, error)
}

func Checks() []CheckDescription {
	return []CheckDescription{
		{
			ID: "address-overlap",
		},
	}
}
`,
		diagnosticsPath: `package runtime

import (
	"github.com/cosi-project/runtime/pkg/controller"

	"github.com/siderolabs/talos/internal/app/machined/pkg/controllers/runtime/internal/diagnostics"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
)

type DiagnosticsController struct{}

var checks = diagnostics.Checks

func (ctrl *DiagnosticsController) Inputs() []controller.Input {
	return []controller.Input{
		{
			Namespace: k8s.NamespaceName,
			Type:      k8s.NodenameType,
			Kind:      controller.InputWeak,
		},
	}
}
`,
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(folder, filepath.Dir(path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, path), []byte(text), 0o644))
	}

	root, err := os.OpenRoot(folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })

	plan, err := embed.NewPlan(root.FS(), embed.Options{Dir: repository, Diagnostics: true})
	require.NoError(t, err)
	require.NoError(t, embed.Apply(root, plan))

	return folder, root
}

func edit(t *testing.T, root *os.Root, path, old, replacement string) {
	t.Helper()

	text, err := root.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, root.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o644))
}

func TestVerifyRegistersEverything(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("it builds a small machined")
	}

	for _, tc := range []struct {
		name string
		edit func(t *testing.T, root *os.Root)
		says string
	}{
		{name: "a tree that will start", edit: func(*testing.T, *os.Root) {}},
		{
			name: "two controllers of the same name",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{", "&block.DisksController{},\n\t\t&block.DisksController{")
			},
			says: `controller "block.DisksController" conflicts: controller "block.DisksController" already registered`,
		},
		{
			name: "two controllers for one output",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{", "block.NewRivalController(),\n\t\t&block.DisksController{")
			},
			says: `controller "recovery.DaemonSetRecoveryController" conflicts: `,
		},
		{
			name: "two definitions of one resource",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, statePath, "&v1alpha1.Service{},", "&v1alpha1.Service{}, &v1alpha1.Service{},")
			},
			says: "the resource definitions conflict: ",
		},
		{
			name: "something that does not compile",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, "pkg/cluster/check/check.go", "Client(endpoints ...string) (*client.Client, error)", "Client(*client.Client)")
			},
			says: "failed to type-check the edited packages: ",
		},
		{
			name: "a controller that cannot be made outside of machined",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()
				edit(t, root, controllerPath, "&block.DisksController{\n\t\t\tMode: ctrl.mode,\n\t\t}", "func() controller.Controller { return &block.DisksController{} }()")
			},
			says: controllerPath + ": line 21: this controller cannot be made outside of machined",
		},
		{
			name: "a tree without rebound",
			edit: func(t *testing.T, root *os.Root) {
				t.Helper()

				plan, err := embed.NewRevertPlan(root.FS())
				require.NoError(t, err)
				require.NoError(t, embed.Apply(root, plan))
			},
			says: "rebound is not embedded: nothing of it is in " + controllerPath + ", " + statePath + ", " + checksPath,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			folder, root := buildable(t)
			tc.edit(t, root)

			before := read(t, root)

			var progress bytes.Buffer

			err := embed.Verify(t.Context(), folder, &progress)

			if tc.says == "" {
				require.NoError(t, err)
				assert.Contains(t, progress.String(), "5 controllers registered")
			} else {
				require.ErrorContains(t, err, tc.says)
			}

			assert.Equal(t, before, read(t, root), "nothing is written to the tree")
		})
	}
}
