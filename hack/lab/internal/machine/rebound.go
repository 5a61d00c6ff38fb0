// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery"
	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Rebound is how a node runs rebound. A setting that is nil is rebound's own
// default.
type Rebound struct {
	SettleTime   *time.Duration `json:"settleTime,omitempty"`
	RejectionCap *int           `json:"rejectionCap,omitempty"`
	// ReportsOnNode makes it say on the Node object how the recovery stands.
	ReportsOnNode bool `json:"reportsOnNode,omitempty"`
	// HidesBootID keeps the boot id from being read until Root.ShowBootID.
	HidesBootID bool `json:"hidesBootID,omitempty"`
	// Panics are the moments at which the recovery controller panics.
	Panics []Moment `json:"panics,omitempty"`
	// Kubeconfig is the path of a kubeconfig of its own; empty for the kubelet's.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

// kubeconfig returns the path of the kubeconfig that rebound is to use.
func (rebound *Rebound) kubeconfig(root Root) string {
	if rebound == nil {
		return root.Kubeconfig()
	}

	return cmp.Or(rebound.Kubeconfig, root.Kubeconfig())
}

// controllers returns rebound's controllers as machined would construct them,
// and none without rebound.
func (rebound *Rebound) controllers(root Root, clock clock) ([]controller.Controller, error) {
	if rebound == nil {
		return nil, nil
	}

	opts := []reboundctrl.Option{
		reboundctrl.WithKubeconfigPath(rebound.kubeconfig(root)),
		reboundctrl.WithBootIDPath(root.BootID()),
		reboundctrl.WithBootTime(clock.bootTime),
		reboundctrl.WithClock(clock.now),
	}

	if rebound.HidesBootID {
		opts = append(opts, reboundctrl.WithBootIDPath(root.LateBootID()))
	}

	if rebound.SettleTime != nil {
		opts = append(opts, reboundctrl.WithSettleTime(*rebound.SettleTime))
	}

	if rebound.RejectionCap != nil {
		opts = append(opts, reboundctrl.WithRejectionCap(*rebound.RejectionCap))
	}

	if rebound.ReportsOnNode {
		opts = append(opts, reboundctrl.WithNodeReport(specs.HostMachined))
	}

	if len(rebound.Panics) == 0 {
		return reboundctrl.Controllers(opts...)
	}

	return rebound.panicking(root, opts)
}

// panicking returns the controllers with the first of them, which is that of
// the recovery, made to panic.
func (rebound *Rebound) panicking(root Root, opts []reboundctrl.Option) ([]controller.Controller, error) {
	panicker := &panicker{moments: rebound.Panics}

	controllers, err := reboundctrl.Controllers(append(opts, reboundctrl.WithClientConfig(func() (*rest.Config, error) {
		config, err := clientcmd.BuildConfigFromFlags("", rebound.kubeconfig(root))
		if err != nil {
			return nil, fmt.Errorf("failed to load kubelet kubeconfig: %w", err)
		}

		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return &panickingTransport{RoundTripper: next, panicker: panicker}
		})

		return config, nil
	}))...)
	if err != nil {
		return nil, err
	}

	controllers[0] = &panicking{Controller: controllers[0], panicker: panicker}

	return controllers, nil
}

// definitions returns rebound's resources. A node without rebound does not
// know them.
func (rebound *Rebound) definitions() []meta.ResourceWithRD {
	if rebound == nil {
		return nil
	}

	return reboundres.ResourceDefinitions()
}
