// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/controller/runtime"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	talosruntime "github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/host"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// machine is machined of a node in one boot, with rebound in it and nothing else.
type machine struct {
	state *host.State
	end   func()
}

// startMachine boots machined as far as a kubelet that is up and not yet healthy.
func startMachine(ctx context.Context, n *node, options ...recovery.Option) (*machine, error) {
	st, err := host.NewState(ctx, recoveryres.ResourceDefinitions()...)
	if err != nil {
		return nil, err
	}

	booted := n.booted

	controllers, err := recovery.Controllers(append([]recovery.Option{
		recovery.WithClientConfig(func() (*rest.Config, error) { return n.config(lab.ReboundUserAgent), nil }),
		recovery.WithBootIDPath(n.bootIDPath),
		recovery.WithBootTime(func() (time.Time, error) { return booted, nil }),
		recovery.WithNodeReport(specs.HostMachined),
	}, options...)...)
	if err != nil {
		return nil, err
	}

	manager, err := runtime.NewRuntime(st.State, zap.NewNop())
	if err != nil {
		return nil, fmt.Errorf("failed to create controller runtime: %w", err)
	}

	for _, controller := range controllers {
		if err = manager.RegisterController(controller); err != nil {
			return nil, fmt.Errorf("failed to register controller %q: %w", controller.Name(), err)
		}
	}

	ctx, cancel := context.WithCancel(ctx)

	var work sync.WaitGroup

	work.Go(func() {
		if err := manager.Run(ctx); err != nil && ctx.Err() == nil {
			n.log("a controller runtime ended", err)
		}
	})

	m := &machine{state: st, end: func() {
		cancel()
		work.Wait()
	}}

	for _, step := range []func() error{
		func() error { return st.SetStage(ctx, talosruntime.MachineStageBooting) },
		func() error { return st.SetNodename(ctx, n.name) },
		func() error { return st.SetKubeconfig(ctx, "of the kubelet") },
		func() error { return st.CreateLifecycle(ctx) },
		func() error { return st.SetKubelet(ctx, v1alpha1.ServiceSpec{Running: true}) },
	} {
		if err = step(); err != nil {
			m.end()

			return nil, err
		}
	}

	return m, nil
}

// healthy says that the kubelet passes its health check.
func (m *machine) healthy(ctx context.Context) error {
	return m.state.SetKubelet(ctx, v1alpha1.ServiceSpec{Running: true, Healthy: true})
}

// awaitRecovered waits until rebound says that the node has recovered.
func (m *machine) awaitRecovered(ctx context.Context) error {
	_, err := m.state.WatchFor(ctx, recoveryres.NewRecoveryStatus().Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		status, ok := res.(*recoveryres.RecoveryStatus)

		return ok && status.TypedSpec().Phase == specs.PhaseRecovered, nil
	}))
	if err != nil {
		return fmt.Errorf("failed to wait for a recovery: %w", err)
	}

	return nil
}
