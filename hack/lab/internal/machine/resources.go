// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"fmt"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// The owners of the resources are the controllers that write them in machined.
// Nobody else can, here as there.
const (
	serviceOwner           = "v1alpha1.ServiceController"
	nodenameOwner          = "k8s.NodenameController"
	machineStatusOwner     = "runtime.MachineStatusController"
	kubeletKubeconfigOwner = "k8s.KubeletKubeconfigController"
)

// serviceID is the id of the kubelet among the services.
const serviceID = "kubelet"

// resources is the part of a machine's COSI state that concerns the kubelet,
// with one method for each thing that machined does to it.
type resources struct {
	state state.State
}

// newResources returns an empty state with the namespaces and definitions of
// Talos registered, and further definitions next to them. Like machined, it
// fails when a definition is there already.
func newResources(ctx context.Context, further []meta.ResourceWithRD) (*resources, error) {
	st, err := talosapi.NewState(ctx, map[string]string{
		v1alpha1.NamespaceName: "Talos v1alpha1 subsystems glue resources.",
		k8s.NamespaceName:      "Kubernetes all node types resources.",
	}, append([]meta.ResourceWithRD{
		&k8s.KubeletKubeconfig{},
		&k8s.KubeletLifecycle{},
		&k8s.Nodename{},
		&runtime.MachineStatus{},
		&v1alpha1.Service{},
	}, further...)...)
	if err != nil {
		return nil, err
	}

	return &resources{state: st}, nil
}

func (resources *resources) setStage(ctx context.Context, stage runtime.MachineStage) error {
	return modify(ctx, resources.state, runtime.NewMachineStatus(), machineStatusOwner,
		func(status *runtime.MachineStatus) {
			status.TypedSpec().Stage = stage
			status.TypedSpec().Status.Ready = stage == runtime.MachineStageRunning
		})
}

func (resources *resources) setNodename(ctx context.Context, name string) error {
	return modify(ctx, resources.state, k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID), nodenameOwner,
		func(nodename *k8s.Nodename) {
			nodename.TypedSpec().Nodename = name
			nodename.TypedSpec().HostnameVersion = "1"
		})
}

func (resources *resources) setKubelet(ctx context.Context, spec v1alpha1.ServiceSpec) error {
	return modify(ctx, resources.state, v1alpha1.NewService(serviceID), serviceOwner,
		func(service *v1alpha1.Service) { *service.TypedSpec() = spec })
}

// removeKubelet says that the kubelet does not run: the resource of a service
// exists only while the service runs.
func (resources *resources) removeKubelet(ctx context.Context) error {
	return resources.destroy(ctx, v1alpha1.NewService(serviceID).Metadata(), serviceOwner)
}

func (resources *resources) setKubeconfigHash(ctx context.Context, hash string) error {
	return modify(ctx, resources.state, k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID), kubeletKubeconfigOwner,
		func(kubeconfig *k8s.KubeletKubeconfig) { kubeconfig.TypedSpec().Hash = hash })
}

func (resources *resources) removeKubeconfigHash(ctx context.Context) error {
	return resources.destroy(ctx, k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID).Metadata(), kubeletKubeconfigOwner)
}

// createLifecycle says that the kubelet is about to start.
func (resources *resources) createLifecycle(ctx context.Context) error {
	if err := resources.state.Create(ctx, k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)); err != nil {
		return fmt.Errorf("failed to create kubelet lifecycle: %w", err)
	}

	return nil
}

// destroyLifecycle says that the kubelet is about to be shut down, and waits
// for everyone who holds a finalizer on that.
func (resources *resources) destroyLifecycle(ctx context.Context) error {
	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata()

	if err := resources.state.TeardownAndDestroy(ctx, lifecycle); err != nil {
		return fmt.Errorf("failed to tear down kubelet lifecycle: %w", err)
	}

	return nil
}

func (resources *resources) destroy(ctx context.Context, pointer resource.Pointer, owner string) error {
	err := resources.state.Destroy(ctx, pointer, state.WithDestroyOwner(owner))
	if err != nil && !state.IsNotFoundError(err) {
		return fmt.Errorf("failed to destroy %q: %w", pointer.Type(), err)
	}

	return nil
}

func modify[T resource.Resource](ctx context.Context, st state.State, res T, owner string, change func(T)) error {
	err := safe.StateModify(ctx, st, res, func(res T) error {
		change(res)

		return nil
	}, state.WithUpdateOwner(owner))
	if err != nil {
		return fmt.Errorf("failed to write %q: %w", res.Metadata().Type(), err)
	}

	return nil
}
