// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosruntime "github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

// controlPlane is two nodes of one, of which control-a leads.
type controlPlane struct {
	t       *testing.T
	api     *ctest.Kubernetes
	talos   *ctest.Cluster
	options cli.BackoffRestartOptions
	// restarted has what was restarted.
	restarted []string
}

const container = "kube-system/kube-controller-manager-control-a:kube-controller-manager:0b9e7b5c5f0e"

func newControlPlane(t *testing.T, stage talosruntime.MachineStage, state string) *controlPlane {
	t.Helper()

	c := &controlPlane{t: t, api: ctest.NewKubernetes(t), talos: ctest.NewCluster(t)}

	for _, name := range []string{"control-a", "control-b"} {
		node := ctest.KubernetesNode(name, "boot")
		node.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
		node.Status.Addresses = nil
		c.api.Set(node)

		require.NoError(t, c.api.SetWorkload(&corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "kube-controller-manager-" + name},
			Spec:       corev1.PodSpec{NodeName: name},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}))
	}

	c.lead("control-a_1")

	machine := c.talos.AddStockKubernetesNode(t, "control-a", &talosruntime.MachineStatus{})
	status := talosruntime.NewMachineStatus()
	status.TypedSpec().Stage = stage
	machine.Create(t, status)

	machine.Configure(t, func(config *talosapi.MachineConfig) {
		config.Containers = func(context.Context) ([]*machineapi.ContainerInfo, error) {
			pod := "kube-system/kube-controller-manager-control-a"

			return []*machineapi.ContainerInfo{
				{Id: pod, PodId: pod, Name: pod, Status: "SANDBOX_READY"},
				{Id: pod + ":kube-controller-manager:before", PodId: pod, Name: "kube-controller-manager", Status: "CONTAINER_EXITED"},
				{Id: "kube-system/other:kube-controller-manager:x", PodId: "kube-system/other", Name: "kube-controller-manager", Status: "CONTAINER_RUNNING"},
				{Id: container, PodId: pod, Name: "kube-controller-manager", Status: state},
			}, nil
		}
		config.Restart = func(_ context.Context, id string) error {
			c.restarted = append(c.restarted, id)
			c.lead("control-b_1")

			return nil
		}
	})

	path := filepath.Join(t.TempDir(), "talosconfig")

	config, err := c.talos.Authority.Config("test", talosapi.ClientConfig{Endpoints: []string{c.talos.Endpoint()}, Roles: role.MakeSet(role.Operator)})
	require.NoError(t, err)
	require.NoError(t, config.Save(path))

	c.options = cli.BackoffRestartOptions{
		Access: cli.Access{Talosconfig: path}, KubeAccess: cli.KubeAccess{Kubeconfig: c.api.Kubeconfig(t)}, Node: "control-a",
	}

	return c
}

// lead lets somebody hold the Lease.
func (c *controlPlane) lead(identity string) {
	assert.NoError(c.t, c.api.SetWorkload(&coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "kube-controller-manager"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &identity, RenewTime: new(metav1.NowMicro()), LeaseDurationSeconds: new(int32(60))},
	}))
}

func (c *controlPlane) restart(ctx context.Context) (string, error) {
	var out bytes.Buffer

	err := cli.RestartControllerManager(ctx, c.options, &out)

	return out.String(), err
}

func TestRestartIsAskedFor(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		answer    io.Reader // nil with --yes
		restarted []string
		code      int
	}{
		"--yes":            {restarted: []string{container}},
		"y":                {answer: strings.NewReader("y\n"), restarted: []string{container}},
		"Yes":              {answer: strings.NewReader("Yes\n"), restarted: []string{container}},
		"no":               {answer: strings.NewReader("no\n"), code: cli.ExitNotRecovered},
		"Enter":            {answer: strings.NewReader("\n"), code: cli.ExitNotRecovered},
		"the end of input": {answer: strings.NewReader(""), code: cli.ExitNotRecovered},
		"something else":   {answer: strings.NewReader("why?\ny\n"), code: cli.ExitNotRecovered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := newControlPlane(t, talosruntime.MachineStageRunning, "CONTAINER_RUNNING")
			c.options.Yes, c.options.Interactive, c.options.Answers = tc.answer == nil, tc.answer != nil, tc.answer

			out, err := c.restart(t.Context())
			assert.Equal(t, tc.code, cli.ExitCode(err), "%v", err)
			assert.Equal(t, tc.restarted, c.restarted)
			assert.Equal(t, tc.answer != nil, strings.Contains(out, "Restart it?"), out)

			if tc.restarted != nil {
				assert.Contains(t, out, "control-b_1 leads now; all back-offs begin anew")
			}
		})
	}
}

func TestRestartRefuses(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		stage  talosruntime.MachineStage
		state  string
		change func(*controlPlane)
		says   string
	}{
		"a machine that reboots":         {stage: talosruntime.MachineStageRebooting, says: "the machine of node \"control-a\" is rebooting"},
		"a container that has ended":     {state: "CONTAINER_EXITED", says: "runs no container of pod"},
		"a node that does not lead":      {change: func(c *controlPlane) { c.options.Node = "control-b" }, says: "does not lead"},
		"a node that is none of them":    {change: func(c *controlPlane) { c.options.Node = "worker-a" }, says: "there is no Node"},
		"no node":                        {change: func(c *controlPlane) { c.options.Node = "" }, says: "with --node"},
		"nobody to be asked":             {change: func(c *controlPlane) { c.options.Yes = false }, says: "give --yes"},
		"a leader that nobody replaces":  {change: func(c *controlPlane) { c.api.Delete("control-b") }, says: "no other node"},
		"a role that may not restart it": {change: func(c *controlPlane) { c.readOnly() }, says: "it takes the role os:operator"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if tc.state == "" {
				tc.state = "CONTAINER_RUNNING"
			}

			if tc.stage == 0 {
				tc.stage = talosruntime.MachineStageRunning
			}

			c := newControlPlane(t, tc.stage, tc.state)
			c.options.Yes, c.options.Answers = true, strings.NewReader("y\n")

			if tc.change != nil {
				tc.change(c)
			}

			_, err := c.restart(t.Context())
			require.ErrorContains(t, err, tc.says)
			assert.Equal(t, cli.ExitUsage, cli.ExitCode(err))
			assert.Empty(t, c.restarted)
		})
	}
}

// readOnly gives the command a talosconfig with the role os:reader.
func (c *controlPlane) readOnly() {
	config, err := c.talos.Authority.Config("test", talosapi.ClientConfig{Endpoints: []string{c.talos.Endpoint()}, Roles: role.MakeSet(role.Reader)})
	require.NoError(c.t, err)
	require.NoError(c.t, config.Save(c.options.Access.Talosconfig))
}

func TestRestartEndsWhileItAsks(t *testing.T) {
	t.Parallel()

	c := newControlPlane(t, talosruntime.MachineStageRunning, "CONTAINER_RUNNING")

	terminal, keyboard := io.Pipe()
	t.Cleanup(func() { assert.NoError(t, keyboard.Close()) })

	c.options.Interactive, c.options.Answers = true, terminal

	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("no patience"))
	defer cancel()

	_, err := c.restart(ctx)
	require.ErrorContains(t, err, "no patience")
	assert.Empty(t, c.restarted)
}

func TestRestartLooksAgainAfterTheAnswer(t *testing.T) {
	t.Parallel()

	c := newControlPlane(t, talosruntime.MachineStageRunning, "CONTAINER_RUNNING")
	c.options.Interactive = true

	// Whoever is asked takes their time, and somebody else leads meanwhile.
	c.options.Answers = readerFunc(func(text []byte) (int, error) {
		c.lead("control-b_1")

		return copy(text, "y\n"), nil
	})

	_, err := c.restart(t.Context())
	require.ErrorContains(t, err, "does not lead")
	assert.Empty(t, c.restarted)
}

type readerFunc func([]byte) (int, error)

func (read readerFunc) Read(text []byte) (int, error) { return read(text) }
