// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package machine is one boot of a Talos node: the stand-in for machined.
//
// It maintains the COSI resources that machined maintains around the kubelet,
// in the order in which machined does so when it boots and reboots, plays bus
// and logind to the kubelet, and runs rebound's controllers if the node has
// them. Its state lives in memory and ends with the process, and so do the
// containers, whose runtime it is too. It is not a machined: there is no machine
// configuration, and the kubelet is the only service. That is a process of its
// own, which is started again when it ends.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cosi-project/runtime/pkg/controller/runtime"
	talosruntime "github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/hack/lab/internal/cri"
	"github.com/talos-rebound/rebound/hack/lab/internal/logind"
	"github.com/talos-rebound/rebound/internal/agent/host"
)

// Talos' settings for the kubelet's health check.
const (
	healthInitialDelay = 2 * time.Second
	healthPeriod       = 5 * time.Second
	healthTimeout      = 500 * time.Millisecond
)

// kubeconfigPeriod is how often the kubelet's kubeconfig is looked at.
const kubeconfigPeriod = time.Second

type machine struct {
	config Config
	clock  clock
	logger *zap.Logger
	state  *host.State
	logind *logind.Server
	// signals are those that begin and cancel a shutdown, and ask for a reboot.
	signals chan os.Signal
	// requestReboot makes the machine reboot by itself. It may be called at any
	// time, and returns before the reboot has begun.
	requestReboot func()

	startKubelet StartKubelet
	// watchers end when the kubelet is stopped.
	watchers sync.WaitGroup
	// up is whether the boot sequence has ended.
	up bool
}

// Main boots a node and returns when it is down. SIGTERM shuts it down, with
// nil for its error. If it was asked for a reboot, the error is a Rebooted. Its
// only argument is the path of a configuration file.
func Main(args []string, startKubelet StartKubelet) error {
	up := time.Now()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	if len(args) != 1 {
		return fmt.Errorf("expected one configuration file, got %q", args)
	}

	config, err := ReadConfig(args[0])
	if err != nil {
		return err
	}

	logger, err := zap.NewDevelopment(zap.WithCaller(false))
	if err != nil {
		return fmt.Errorf("failed to create logger: %w", err)
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, SignalBegin, SignalCancel, SignalReboot)

	clock := clock{root: config.Root, up: up}

	return (&machine{config: config, clock: clock, logger: logger, signals: signals, startKubelet: startKubelet}).run(ctx)
}

// run lives from boot to reboot. The reboot begins when rebooting is done.
func (machine *machine) run(rebooting context.Context) error {
	rebooting, request := context.WithCancelCause(rebooting)
	defer request(nil)

	machine.requestReboot = func() { request(Rebooted{}) }

	// What the machine does goes on during the reboot: controllers included.
	ctx, end := context.WithCancel(context.WithoutCancel(rebooting))
	defer end()

	if err := machine.start(ctx); err != nil {
		return err
	}

	kubelet, stopKubelet := context.WithCancel(ctx)
	defer stopKubelet()

	if err := machine.boot(kubelet); err != nil {
		return err
	}

	machine.announce(rebooting)

	err := machine.reboot(ctx, stopKubelet)

	// A machine that has failed to shut down reboots all the same.
	if rebooted := (Rebooted{}); errors.As(context.Cause(rebooting), &rebooted) {
		if err != nil {
			machine.logger.Error("failed to shut down", zap.Error(err))
		}

		return rebooted
	}

	return err
}

// The signals with which a machine, as logind, begins and cancels a shutdown
// that never gets further than its announcement, and the one that reboots it.
const (
	SignalBegin  = syscall.SIGUSR1
	SignalCancel = syscall.SIGUSR2
	SignalReboot = syscall.SIGHUP
)

// announce begins and cancels shutdowns until ctx is done.
func (machine *machine) announce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case received := <-machine.signals:
			if received == SignalReboot {
				machine.requestReboot()

				continue
			}

			announce := machine.logind.Begin
			if received == SignalCancel {
				announce = machine.logind.Cancel
			}

			if err := announce(); err != nil {
				machine.logger.Error("failed to announce", zap.Stringer("signal", received), zap.Error(err))
			}
		}
	}
}

// start brings up what is there before any sequence runs.
func (machine *machine) start(ctx context.Context) error {
	config := machine.config

	booted, err := machine.clock.bootTime()
	if err != nil {
		return err
	}

	if err = config.Root.boot(config.BootID, booted); err != nil {
		return err
	}

	if machine.state, err = host.NewState(ctx, config.Rebound.definitions()...); err != nil {
		return err
	}

	if err = machine.serveAPI(ctx); err != nil {
		return err
	}

	if machine.logind, err = logind.Listen(config.Root.BusSocket()); err != nil {
		return err
	}

	if err = machine.serveRuntime(ctx); err != nil {
		return err
	}

	if err = machine.serveMetrics(ctx); err != nil {
		return err
	}

	machine.logind.OnReboot(func() error {
		machine.logger.Info("reboot requested on the bus")
		machine.requestReboot()

		return nil
	})

	for name, value := range map[string]string{
		"DBUS_SYSTEM_BUS_ADDRESS": machine.logind.Address(),
		"TMPDIR":                  config.Root.Temp(),
	} {
		if err = os.Setenv(name, value); err != nil {
			return fmt.Errorf("failed to set environment variable %q: %w", name, err)
		}
	}

	return machine.startControllers(ctx)
}

func (machine *machine) startControllers(ctx context.Context) error {
	controllers, err := machine.config.Rebound.controllers(machine.config.Root, machine.clock)
	if err != nil {
		return fmt.Errorf("failed to construct controllers: %w", err)
	}

	manager, err := runtime.NewRuntime(machine.state.State, machine.logger)
	if err != nil {
		return fmt.Errorf("failed to create controller runtime: %w", err)
	}

	for _, controller := range controllers {
		if err = manager.RegisterController(controller); err != nil {
			return fmt.Errorf("failed to register controller %q: %w", controller.Name(), err)
		}
	}

	go func() {
		if err := manager.Run(ctx); err != nil && ctx.Err() == nil {
			// machined answers with an emergency reboot.
			machine.logger.Fatal("controller runtime failed", zap.Error(err))
		}
	}()

	return nil
}

// serveRuntime serves the container runtime to the kubelet until ctx is done.
func (machine *machine) serveRuntime(ctx context.Context) error {
	wait, err := cri.Serve(ctx, cri.Config{
		Socket:        machine.config.Root.RuntimeSocket(),
		Images:        machine.config.Images,
		NetworkConfig: machine.config.Root.NetworkConfig(),
	})
	if err != nil {
		return err
	}

	go func() {
		if err := wait(); err != nil {
			machine.logger.Error("the container runtime went away", zap.Error(err))
		}
	}()

	return nil
}

// boot runs the boot sequence as far as the kubelet is concerned.
func (machine *machine) boot(ctx context.Context) error {
	config := machine.config

	if err := machine.state.SetStage(ctx, talosruntime.MachineStageBooting); err != nil {
		return err
	}

	kubeconfig := host.Kubeconfig{State: machine.state, Path: config.Rebound.kubeconfig(config.Root), Period: kubeconfigPeriod, Logger: machine.logger}
	machine.watchers.Go(func() { kubeconfig.Watch(ctx) })

	if err := machine.state.SetNodename(ctx, config.Name); err != nil {
		return err
	}

	if err := machine.state.CreateLifecycle(ctx); err != nil {
		return err
	}

	staticPodURL, err := machine.serveStaticPods()
	if err != nil {
		return err
	}

	if err = machine.writeKubeletConfig(staticPodURL); err != nil {
		return err
	}

	args := machine.kubeletArgs()
	machine.watchers.Go(func() { machine.superviseKubelet(ctx, args) })

	return nil
}

// finishBoot ends the boot sequence, which is when every service is up. A kubelet
// that is up once more, maybe in the middle of a reboot, ends nothing.
func (machine *machine) finishBoot(ctx context.Context) error {
	if machine.up {
		return nil
	}

	if err := machine.state.SetStage(ctx, talosruntime.MachineStageRunning); err != nil {
		return err
	}

	machine.up = true

	return nil
}

// Talos' limit for the finalizers on the kubelet's lifecycle.
const lifecycleTimeout = 30 * time.Second

// reboot runs the reboot sequence as far as the kubelet is concerned. As in
// Talos, a step that fails does not keep the next one from running.
func (machine *machine) reboot(ctx context.Context, stopKubelet func()) error {
	stageErr := machine.state.SetStage(ctx, talosruntime.MachineStageRebooting)

	lifecycleCtx, cancel := context.WithTimeout(ctx, lifecycleTimeout)
	defer cancel()

	lifecycleErr := machine.state.DestroyLifecycle(lifecycleCtx)

	machine.logger.Info("shutting down kubelet gracefully")

	shutdownCtx, cancel := context.WithTimeout(ctx, logind.InhibitMaxDelay)
	defer cancel()

	shutdownErr := machine.logind.Shutdown(shutdownCtx)
	statusErr := machine.awaitPodStatuses(ctx)

	stopKubelet()
	machine.watchers.Wait()

	serviceErr := machine.state.RemoveKubelet(ctx)
	logindErr := machine.logind.Close()

	machine.logger.Info("machine is down")

	return errors.Join(stageErr, lifecycleErr, shutdownErr, statusErr, serviceErr, logindErr)
}

// nodeClient returns the node's identity as the kubelet's kubeconfig has it.
func (machine *machine) nodeClient(userAgent string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", machine.config.Root.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("failed to load kubelet kubeconfig: %w", err)
	}

	config.UserAgent = userAgent
	config.ContentType = "application/vnd.kubernetes.protobuf"

	return config, nil
}
