// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi_test

import (
	"context"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

func TestContainersAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()

	cluster := newCluster(t)
	talos, at := cluster.ClientWith(t, admin), client.WithNode(deadline(t), second)

	_, err := talos.Containers(at, "k8s.io", common.ContainerDriver_CRI)
	assertStatus(t, err, codes.Unimplemented, "")
	assertStatus(t, talos.Restart(at, "k8s.io", common.ContainerDriver_CRI, "id"), codes.Unimplemented, "")

	var restarted []string

	cluster.Node(second).Configure(t, func(config *talosapi.MachineConfig) {
		config.Containers = func(context.Context) ([]*machineapi.ContainerInfo, error) {
			return []*machineapi.ContainerInfo{{Id: "id"}}, nil
		}
		config.Restart = func(_ context.Context, id string) error {
			if id != "id" {
				return status.Errorf(codes.Unknown, "container %q not found", id)
			}

			restarted = append(restarted, id)

			return nil
		}
	})

	for _, refused := range []struct {
		namespace string
		driver    common.ContainerDriver
		code      codes.Code
		says      string
	}{
		{"", common.ContainerDriver_CRI, codes.InvalidArgument, "namespace can't be empty"},
		{"system", common.ContainerDriver_CRI, codes.Unknown, "CRI inspector is supported only for K8s namespace"},
		{"k8s.io", common.ContainerDriver_CONTAINERD, codes.Unimplemented, "only the driver CRI is"},
	} {
		_, err = talos.Containers(at, refused.namespace, refused.driver)
		assertStatus(t, err, refused.code, refused.says)
		assertStatus(t, talos.Restart(at, refused.namespace, refused.driver, "id"), refused.code, refused.says)
	}

	assert.Empty(t, restarted)

	list, err := talos.Containers(at, "k8s.io", common.ContainerDriver_CRI)
	require.NoError(t, err)
	assert.Equal(t, "id", list.GetMessages()[0].GetContainers()[0].GetId())

	assertStatus(t, talos.Restart(at, "k8s.io", common.ContainerDriver_CRI, "other"), codes.Unknown, `container "other" not found`)
	require.NoError(t, talos.Restart(at, "k8s.io", common.ContainerDriver_CRI, "id"))
	assert.Equal(t, []string{"id"}, restarted)
}
