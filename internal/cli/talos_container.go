// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
	"github.com/talos-rebound/rebound/pkg/check"
)

const (
	// talosTimeout is how long a node may take for one call.
	talosTimeout = 15 * time.Second
	// containerRunning is the state of a container of the CRI that runs, as Talos tells it.
	containerRunning = "CONTAINER_RUNNING"
)

// controllerManager returns how Talos calls the container of kube-controller-manager on the node with that address and name,
// which has to be running and not to be rebooting.
func (cluster *cluster) controllerManager(ctx context.Context, address, name string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, talosTimeout, fmt.Errorf("no answer within %s", talosTimeout))
	defer cancel()

	ctx = client.WithNode(ctx, address)

	machine, err := safe.StateGetByID[*runtime.MachineStatus](ctx, cluster.client.COSI, runtime.MachineStatusID)
	if err != nil {
		return "", talosError(ctx, fmt.Sprintf("failed to read the stage of node %q", name), err)
	}

	if stage := machine.TypedSpec().Stage; stage != runtime.MachineStageRunning {
		return "", fmt.Errorf("nothing was restarted: the machine of node %q is %s", name, stage)
	}

	response, err := cluster.client.Containers(ctx, constants.K8sContainerdNamespace, common.ContainerDriver_CRI)
	if err != nil {
		return "", talosError(ctx, fmt.Sprintf("failed to list the containers of node %q", name), err)
	}

	pod := "kube-system/" + kubebackoff.ControllerManager + "-" + name

	for _, message := range response.GetMessages() {
		for _, container := range message.GetContainers() {
			if container.GetPodId() == pod && container.GetName() == kubebackoff.ControllerManager && container.GetStatus() == containerRunning {
				return check.OneLine(container.GetId()), nil
			}
		}
	}

	return "", fmt.Errorf("nothing was restarted: node %q runs no container of pod %s", name, pod)
}

// restartContainer tells a container of the node with that address to end, with SIGTERM. The kubelet starts it again, as it is
// one of a static pod (Talos v1.13, internal/app/machined/internal/server/v1alpha1/v1alpha1_server.go, Restart).
func (cluster *cluster) restartContainer(ctx context.Context, address, id string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, talosTimeout, fmt.Errorf("no answer within %s", talosTimeout))
	defer cancel()

	err := cluster.client.Restart(client.WithNode(ctx, address), constants.K8sContainerdNamespace, common.ContainerDriver_CRI, id)
	if err != nil {
		return talosError(ctx, fmt.Sprintf("failed to restart container %q", id), err)
	}

	return nil
}

// talosError says what a node has answered, and which role the call takes.
func talosError(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return failure{fmt.Errorf("%s: %w", doing, context.Cause(ctx))}
	case status.Code(err) == codes.PermissionDenied, status.Code(err) == codes.Unauthenticated:
		return fmt.Errorf("%s: %s; it takes the role os:operator", doing, check.OneLine(check.Words(err)))
	default:
		return advised(fmt.Errorf("%s: %s", doing, check.OneLine(check.Words(err))))
	}
}
