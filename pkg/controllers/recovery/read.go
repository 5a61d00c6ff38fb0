// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"

	"github.com/talos-rebound/rebound/internal/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// kubeletService is the id of the kubelet among Talos' services.
const kubeletService = "kubelet"

// readGate reads what Talos says about the node. It only reads, so it may run beside the controller's loop.
func readGate(ctx context.Context, r controller.Reader) (recovery.Gate, error) {
	var gate recovery.Gate

	service, err := get[*v1alpha1.Service](ctx, r, kubeletService)
	if err != nil {
		return gate, err
	}

	if service != nil {
		gate.KubeletRunning = service.TypedSpec().Running
		gate.KubeletHealthy = service.TypedSpec().Healthy
		gate.KubeletStart = service.Metadata().Created().UTC().Format(time.RFC3339Nano)
	}

	lifecycle, err := get[*k8s.KubeletLifecycle](ctx, r, k8s.KubeletLifecycleID)
	if err != nil {
		return gate, err
	}

	if lifecycle != nil {
		gate.LifecyclePresent = true
		gate.LifecycleTearingDown = lifecycle.Metadata().Phase() == resource.PhaseTearingDown
		gate.KubeletStart += " " + lifecycle.Metadata().Created().UTC().Format(time.RFC3339Nano)
	}

	machine, err := get[*runtime.MachineStatus](ctx, r, runtime.MachineStatusID)
	if err != nil {
		return gate, err
	}

	if machine != nil {
		stage := machine.TypedSpec().Stage
		gate.Stage = stage.String()
		// "running" alone would wait for every service, and an extension that never comes up would keep the CNI away.
		gate.InService = stage == runtime.MachineStageBooting || stage == runtime.MachineStageRunning
		gate.Booted = stage == runtime.MachineStageRunning
	}

	nodename, err := get[*k8s.Nodename](ctx, r, k8s.NodenameID)
	if err != nil {
		return gate, err
	}

	if nodename != nil {
		gate.NodeName = nodename.TypedSpec().Nodename
		gate.SkipNodeRegistration = nodename.TypedSpec().SkipNodeRegistration
	}

	return gate, nil
}

// readKubeconfigHash returns the hash of the kubelet's kubeconfig, "" while Talos knows of none.
func readKubeconfigHash(ctx context.Context, r controller.Reader) (string, error) {
	kubeconfig, err := get[*k8s.KubeletKubeconfig](ctx, r, k8s.KubeletKubeconfigID)
	if err != nil || kubeconfig == nil {
		return "", err
	}

	return kubeconfig.TypedSpec().Hash, nil
}

// readPublished reads what the last pass published, which is all that is remembered from it.
func readPublished(ctx context.Context, r controller.Reader) (specs.RecoveryStatus, map[string]specs.DaemonSetRecovery, error) {
	var status specs.RecoveryStatus

	published, err := get[*recoveryres.RecoveryStatus](ctx, r, recoveryres.RecoveryStatusID)
	if err != nil {
		return status, nil, err
	}

	if published != nil {
		status = *published.TypedSpec()
	}

	list, err := safe.ReaderListAll[*recoveryres.DaemonSetRecovery](ctx, r)
	if err != nil {
		return status, nil, fmt.Errorf("failed to list DaemonSet recoveries: %w", err)
	}

	daemonSets := map[string]specs.DaemonSetRecovery{}
	for item := range list.All() {
		daemonSets[item.Metadata().ID()] = *item.TypedSpec()
	}

	return status, daemonSets, nil
}

// get returns the resource with the id, nil if there is none.
func get[T meta.ResourceWithRD](ctx context.Context, r controller.Reader, id resource.ID) (T, error) {
	res, err := safe.ReaderGetByID[T](ctx, r, id)
	if err != nil && !state.IsNotFoundError(err) {
		return res, fmt.Errorf("failed to read resource %q: %w", id, err)
	}

	return res, nil
}
