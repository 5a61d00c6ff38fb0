// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"fmt"
	"strings"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The labels by which a kubelet marks what it runs.
const (
	podNamespaceLabel = "io.kubernetes.pod.namespace"
	podNameLabel      = "io.kubernetes.pod.name"
)

// stopGrace is how long a container may take to end, in seconds. The real call
// sends SIGTERM and does not wait.
const stopGrace = 30

// containers are those that the container runtime has, under the names that Talos
// gives them. Talos shows the first twelve characters of an id; those of this
// runtime begin with that of the pod, so all of it is shown.
func (machine *machine) containers(ctx context.Context) ([]*machineapi.ContainerInfo, error) {
	var found []*machineapi.ContainerInfo

	err := machine.withRuntime(func(runtime runtimeapi.RuntimeServiceClient) error {
		list, err := runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
		if err != nil {
			return err
		}

		for _, container := range list.GetContainers() {
			pod := container.GetLabels()[podNamespaceLabel] + "/" + container.GetLabels()[podNameLabel]
			name := container.GetMetadata().GetName()

			found = append(found, &machineapi.ContainerInfo{
				Namespace:  constants.K8sContainerdNamespace,
				Id:         pod + ":" + name + ":" + container.GetId(),
				InternalId: container.GetId(),
				PodId:      pod,
				Name:       name,
				Image:      container.GetImageRef(),
				Status:     container.GetState().String(),
			})
		}

		return nil
	})

	return found, err
}

// restartContainer ends the container that Talos calls by that id. The kubelet
// starts it again if its pod says so.
func (machine *machine) restartContainer(ctx context.Context, id string) error {
	pod, id, _ := strings.Cut(id, ":")

	_, id, ok := strings.Cut(id, ":")
	if !ok || id == "" {
		return fmt.Errorf("container %q not found", pod)
	}

	machine.logger.Sugar().Infof("restart of container %q requested", id)

	return machine.withRuntime(func(runtime runtimeapi.RuntimeServiceClient) error {
		_, err := runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: stopGrace})

		return err
	})
}

// withRuntime connects to the container runtime as the kubelet does.
func (machine *machine) withRuntime(do func(runtimeapi.RuntimeServiceClient) error) error {
	connection, err := grpc.NewClient("unix://"+machine.config.Root.RuntimeSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("failed to connect to the container runtime: %w", err)
	}

	defer connection.Close() //nolint:errcheck // nothing is lost with it

	return do(runtimeapi.NewRuntimeServiceClient(connection))
}
