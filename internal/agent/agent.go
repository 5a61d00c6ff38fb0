// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/pkg/controller/runtime"
	"github.com/godbus/dbus/v5"
	talosruntime "github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/internal/agent/host"
	"github.com/talos-rebound/rebound/internal/agent/metrics"
	"github.com/talos-rebound/rebound/internal/agent/reboot"
	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery"
	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// healthPeriod is the time between two looks at the kubelet. It is short, as a restart of the kubelet may be.
	healthPeriod  = time.Second
	healthTimeout = 500 * time.Millisecond
	// kubeconfigPeriod is the time between two looks at the kubeconfig, which hardly ever changes.
	kubeconfigPeriod = 5 * time.Second
	// logindRetry is the time between two tries to reach logind.
	logindRetry = 5 * time.Second
)

// Run runs the agent until ctx is done, which is no error. What is wrong with the configuration, and an address or a socket
// that cannot be listened on, are errors at once. Everything else is waited for: the status says for what.
func Run(ctx context.Context, config Config) error {
	if err := config.validate(); err != nil {
		return err
	}

	st, err := host.NewState(ctx, reboundres.ResourceDefinitions()...)
	if err != nil {
		return err
	}

	a := &agent{config: config, state: st}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	group, ctx := errgroup.WithContext(ctx)

	if err = a.start(ctx, group); err != nil {
		// What was started before must not outlive the agent.
		cancel()

		return errors.Join(err, group.Wait())
	}

	return group.Wait()
}

type agent struct {
	config Config
	state  *host.State

	// told takes what Prometheus is told of reboots; nil without metrics.
	told func(reboot.Status)

	// problem is why the node's name is not known, as it was logged last.
	problem string
}

// start starts everything in the group.
func (a *agent) start(ctx context.Context, group *errgroup.Group) error {
	controllers, err := a.controllers()
	if err != nil {
		return err
	}

	if err = a.serve(ctx, group); err != nil {
		return err
	}

	if err = errors.Join(a.state.SetStage(ctx, talosruntime.MachineStageBooting), a.state.CreateLifecycle(ctx)); err != nil {
		return err
	}

	if a.config.NodeName != "" {
		if err = a.state.SetNodename(ctx, a.config.NodeName); err != nil {
			return err
		}
	}

	a.watch(ctx, group)

	group.Go(func() error {
		if err := controllers.Run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("the controllers have stopped: %w", err)
		}

		return nil
	})

	return nil
}

// controllers sets up what runs inside machined on a Talos that was built with rebound.
func (a *agent) controllers() (*runtime.Runtime, error) {
	options := []reboundctrl.Option{
		reboundctrl.WithNodeReport(specs.HostAgent),
		reboundctrl.WithClientConfig(a.config.client),
		reboundctrl.WithBootIDPath(a.config.bootIDPath()),
		reboundctrl.WithBootTime(a.config.bootTime),
	}

	if a.config.DryRun {
		options = append(options, reboundctrl.WithDryRun())
	}

	if a.config.SettleTime != 0 {
		options = append(options, reboundctrl.WithSettleTime(a.config.SettleTime))
	}

	controllers, err := reboundctrl.Controllers(options...)
	if err != nil {
		return nil, err
	}

	manager, err := runtime.NewRuntime(a.state, a.config.Logger)
	if err != nil {
		return nil, fmt.Errorf("failed to create controller runtime: %w", err)
	}

	for _, controller := range controllers {
		if err = manager.RegisterController(controller); err != nil {
			return nil, fmt.Errorf("failed to register controller %q: %w", controller.Name(), err)
		}
	}

	return manager, nil
}

// watch starts what tells of the host.
func (a *agent) watch(ctx context.Context, group *errgroup.Group) {
	start := func(watch func(context.Context)) {
		group.Go(func() error {
			watch(ctx)

			return nil
		})
	}

	kubelet := &host.Kubelet{
		State: a.state, URL: a.config.Healthz, Period: healthPeriod, Timeout: healthTimeout,
		Healthy: func(ctx context.Context) error { return a.state.SetStage(ctx, talosruntime.MachineStageRunning) },
		Logger:  a.config.Logger,
	}
	start(kubelet.Watch)
	start(a.rest)

	kubeconfig := &host.Kubeconfig{
		State: a.state, Path: a.config.Kubeconfig, Period: kubeconfigPeriod, Logger: a.config.Logger,
	}

	if a.config.NodeName == "" {
		kubeconfig.Seen = a.name
	}

	if a.config.usesFlags() {
		kubeconfig.Path = a.config.ClientCertificate
	}

	start(kubeconfig.Watch)

	if a.config.Logind {
		shutdown := &host.Shutdown{State: a.state, Connect: dbus.ConnectSystemBus, Retry: logindRetry, Logger: a.config.Logger}
		start(shutdown.Watch)
	}

	if a.config.Reboots.Enabled {
		start(a.reboots)
	}
}

// name publishes the node's name, once the credentials tell it.
func (a *agent) name(ctx context.Context) {
	err := a.tryName(ctx)

	problem := ""
	if err != nil {
		problem = err.Error()
	}

	if problem != a.problem && problem != "" && ctx.Err() == nil {
		a.config.Logger.Warn("cannot tell the node's name", zap.Error(err))
	}

	a.problem = problem
}

func (a *agent) tryName(ctx context.Context) error {
	config, err := a.config.client()
	if err != nil {
		return err
	}

	name, err := host.Nodename(config)
	if err != nil {
		return err
	}

	return a.state.SetNodename(ctx, name)
}

// serve starts what others may ask of the agent.
func (a *agent) serve(ctx context.Context, group *errgroup.Group) error {
	if a.config.Socket != "" {
		if err := a.serveSocket(ctx, group); err != nil {
			return err
		}
	}

	if a.config.Metrics == "" {
		return nil
	}

	server, err := metrics.Listen(ctx, a.config.Metrics, a.state, a.config.Logger)
	if err != nil {
		return err
	}

	if a.config.Reboots.Enabled {
		a.told = server.Reboots()
	}

	group.Go(func() error { return server.Serve(ctx) })

	return nil
}
