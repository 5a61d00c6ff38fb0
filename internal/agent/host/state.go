// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

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

// The owners of the resources are the controllers that write them in machined. Nobody else can, here as there.
const (
	serviceOwner           = "v1alpha1.ServiceController"
	nodenameOwner          = "k8s.NodenameController"
	machineStatusOwner     = "runtime.MachineStatusController"
	kubeletKubeconfigOwner = "k8s.KubeletKubeconfigController"
)

// serviceID is the id of the kubelet among the services.
const serviceID = "kubelet"

// State is the part of a machine's COSI state that concerns the kubelet, with one method for each thing that machined does to
// it. All of them may be repeated.
type State struct {
	state.State
}

// NewState returns an empty state with the namespaces and definitions of Talos registered, and further definitions next to
// them. Like machined, it fails when a definition is there already.
func NewState(ctx context.Context, further ...meta.ResourceWithRD) (*State, error) {
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

	return &State{State: st}, nil
}

// SetStage says where the machine is between boot and reboot.
func (s *State) SetStage(ctx context.Context, stage runtime.MachineStage) error {
	return modify(ctx, s.State, runtime.NewMachineStatus(), machineStatusOwner, func(status *runtime.MachineStatus) {
		status.TypedSpec().Stage = stage
		status.TypedSpec().Status.Ready = stage == runtime.MachineStageRunning
	})
}

// SetNodename says what the Node is called.
func (s *State) SetNodename(ctx context.Context, name string) error {
	return modify(ctx, s.State, k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID), nodenameOwner, func(nodename *k8s.Nodename) {
		nodename.TypedSpec().Nodename = name
		nodename.TypedSpec().HostnameVersion = "1"
	})
}

// SetKubelet says how the kubelet is doing.
func (s *State) SetKubelet(ctx context.Context, spec v1alpha1.ServiceSpec) error {
	return modify(ctx, s.State, v1alpha1.NewService(serviceID), serviceOwner, func(service *v1alpha1.Service) {
		*service.TypedSpec() = spec
	})
}

// RemoveKubelet says that the kubelet does not run: the resource of a service exists only while the service runs.
func (s *State) RemoveKubelet(ctx context.Context) error {
	return s.destroy(ctx, v1alpha1.NewService(serviceID).Metadata(), serviceOwner)
}

// SetKubeconfig says that there is a kubeconfig of the kubelet, and tells it from others by a hash; "" says that there is none.
func (s *State) SetKubeconfig(ctx context.Context, hash string) error {
	kubeconfig := k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID)

	if hash == "" {
		return s.destroy(ctx, kubeconfig.Metadata(), kubeletKubeconfigOwner)
	}

	return modify(ctx, s.State, kubeconfig, kubeletKubeconfigOwner, func(kubeconfig *k8s.KubeletKubeconfig) {
		kubeconfig.TypedSpec().Hash = hash
	})
}

// CreateLifecycle says that the kubelet is about to start, or that a shutdown was cancelled.
func (s *State) CreateLifecycle(ctx context.Context) error {
	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)

	was, err := s.Get(ctx, lifecycle.Metadata())
	if err == nil && was.Metadata().Phase() == resource.PhaseTearingDown {
		// There is no way back from a teardown.
		if err = s.DestroyLifecycle(ctx); err != nil {
			return err
		}
	}

	if err = s.Create(ctx, lifecycle); err != nil && !state.IsConflictError(err) {
		return fmt.Errorf("failed to create kubelet lifecycle: %w", err)
	}

	return nil
}

// TeardownLifecycle says that the kubelet is about to be shut down, and waits for nobody.
func (s *State) TeardownLifecycle(ctx context.Context) error {
	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata()

	if _, err := s.Teardown(ctx, lifecycle); err != nil && !state.IsNotFoundError(err) {
		return fmt.Errorf("failed to tear down kubelet lifecycle: %w", err)
	}

	return nil
}

// DestroyLifecycle says that the kubelet is about to be shut down, and waits for everyone who holds a finalizer on that.
func (s *State) DestroyLifecycle(ctx context.Context) error {
	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata()

	if err := s.TeardownAndDestroy(ctx, lifecycle); err != nil && !state.IsNotFoundError(err) {
		return fmt.Errorf("failed to tear down kubelet lifecycle: %w", err)
	}

	return nil
}

func (s *State) destroy(ctx context.Context, pointer resource.Pointer, owner string) error {
	err := s.Destroy(ctx, pointer, state.WithDestroyOwner(owner))
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
