// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/internal/playground"
	"github.com/talos-rebound/rebound/internal/cli"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()

	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))

	goleak.VerifyTestMain(m)
}

func TestLabIsUpUntilCtrlC(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	var (
		folder    = filepath.Join(t.TempDir(), "up")
		rebound   = labtest.Rebound(t, filepath.Join("..", "..", "..", ".."))
		terminal  labtest.Screen
		ended     = make(chan error, 1)
		up, ctrlC = context.WithCancel(ctx)
	)

	defer ctrlC()

	go func() {
		err := playground.Up(up, playground.Options{Workers: 1, Agents: 1, Stock: 1, Rebound: rebound, Out: folder}, &terminal)
		if err != nil {
			cancel()
		}

		ended <- err
	}()

	require.NoError(t, terminal.Await(ctx, "Ctrl-C here takes it down."))
	assert.Contains(t, terminal.String(), "The lab is up: agent-a (10.5.0.3), stock-a (10.5.0.4), worker-a (10.5.0.2).")
	assert.Contains(t, terminal.String(), "export TALOSCONFIG="+filepath.Join(folder, "talosconfig"))

	assert.Regexp(t, `curl -s http://127\.0\.0\.1:\d+/metrics +# what the agent of agent-a did, and uses`, terminal.String())

	requireReady(ctx, t, filepath.Join(folder, "kubeconfig"))

	assert.ErrorContains(t, playground.Up(ctx, playground.Options{Workers: 1, Out: folder}, io.Discard), "has a lab up in")

	reboot := playground.RebootOptions{Node: "worker-a", Out: folder}

	unknown := reboot
	unknown.Node = "worker-b"
	assert.EqualError(t, playground.Reboot(ctx, unknown, io.Discard), `there is no node "worker-b": the lab has agent-a, stock-a, worker-a`)

	// Whoever asks for a reboot may leave, and the reboot goes on.
	second, leave := context.WithCancel(ctx)

	require.EqualError(t, playground.Reboot(second, reboot, onWrite(leave)), `interrupted; node "worker-a" goes on rebooting`)
	require.EqualError(t, playground.Reboot(ctx, reboot, io.Discard), `node "worker-a" is rebooting already`)
	require.NoError(t, terminal.Await(ctx, "worker-a: kubelet is healthy"))

	reboot.Hard = true

	var steps strings.Builder

	require.Eventually(t, func() bool {
		// The order of the log and of the books is not promised.
		steps.Reset()

		return playground.Reboot(ctx, reboot, &steps) == nil
	}, time.Minute, 100*time.Millisecond)
	assert.Regexp(t, `^ +0\.\d s  worker-a: losing power\n +\d\.\d s  worker-a: booting\n(?s:.*) s  worker-a: kubelet is healthy\n$`, steps.String())

	var health strings.Builder

	require.NoError(t, cli.Health(ctx, cli.HealthOptions{
		Access:      cli.Access{Talosconfig: filepath.Join(folder, "talosconfig")},
		WaitTimeout: time.Minute,
		Output:      cli.FormatText,
	}, &health, io.Discard))
	assert.Contains(t, health.String(), "1 node recovered, 2 left out, without rebound")

	temp := tempFolderOf(t, folder)
	require.DirExists(t, temp)

	// A reboot that is going on does not hold up the end.
	third := make(chan error, 1)

	go func() {
		third <- playground.Reboot(ctx, playground.RebootOptions{Node: "stock-a", Out: folder}, onWrite(ctrlC))
	}()

	require.ErrorContains(t, <-third, `failed to reboot node "stock-a": the lab is being taken down`)
	require.NoError(t, <-ended)

	assert.NoDirExists(t, folder)
	assert.NoDirExists(t, temp)
	assert.Empty(t, labtest.Processes(t, temp))
}

func TestLabThatIsInterruptedBeforeItIsUpSaysSo(t *testing.T) {
	t.Parallel()

	folder := filepath.Join(t.TempDir(), "up")
	ctx, ctrlC := context.WithCancel(t.Context())

	err := playground.Up(ctx, playground.Options{Workers: 1, Out: folder}, onWrite(ctrlC))

	require.EqualError(t, err, "interrupted before the lab was up")
	assert.NoDirExists(t, folder)
}

// onWrite calls a function when something is written.
type onWrite func()

// Write implements io.Writer.
func (f onWrite) Write(text []byte) (int, error) {
	f()

	return len(text), nil
}

// requireReady requires that the kubeconfig leads to the three DaemonSets, whole
// on three nodes.
func requireReady(ctx context.Context, t *testing.T, kubeconfig string) {
	t.Helper()

	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)

	transport, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	defer transport.CloseIdleConnections()

	kube, err := kubernetes.NewForConfigAndClient(config, transport)
	require.NoError(t, err)

	pods, err := kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
	require.NoError(t, err)

	// The agent's own pod may be among them by now.
	assert.Len(t, slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		owner := metav1.GetControllerOf(&pod)

		return owner == nil || owner.Kind != "DaemonSet"
	}), 9)
}

// tempFolderOf returns the temporary folder of the lab that is up.
func tempFolderOf(t *testing.T, folder string) string {
	t.Helper()

	content, err := os.ReadFile(filepath.Join(folder, "lab.json"))
	require.NoError(t, err)

	var lab struct {
		PID    int
		Socket string
	}

	require.NoError(t, json.Unmarshal(content, &lab))
	assert.Equal(t, os.Getpid(), lab.PID)

	return filepath.Dir(lab.Socket)
}
