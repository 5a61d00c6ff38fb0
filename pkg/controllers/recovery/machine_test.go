// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/internal/ctest"
	core "github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	nodeName = "worker-1"
	bootID   = "8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a Talos machine: its state, the controllers that run on it, and the cluster that it belongs to.
type machine struct {
	t       *testing.T
	state   state.State
	cluster *cluster
	options []recovery.Option
	spy     *spy
	stop    func()
}

// boot runs a test beside others, on virtual time, with a machine that has just booted; no service runs yet.
func boot(t *testing.T, test func(*machine), options ...recovery.Option) {
	t.Helper()
	t.Parallel()
	bootAlone(t, test, options...)
}

// bootAlone is boot for a test that measures.
func bootAlone(t *testing.T, test func(*machine), options ...recovery.Option) {
	t.Helper()

	path := filepath.Join(t.TempDir(), "boot_id")
	require.NoError(t, os.WriteFile(path, []byte(bootID+"\n"), 0o600))

	synctest.Test(t, func(t *testing.T) {
		booted := time.Now()
		time.Sleep(20 * time.Second)

		definitions := append([]meta.ResourceWithRD{
			&v1alpha1.Service{}, &k8s.Nodename{}, &k8s.KubeletLifecycle{}, &k8s.KubeletKubeconfig{}, &runtime.MachineStatus{},
		}, recoveryres.ResourceDefinitions()...)

		m := &machine{t: t, state: ctest.NewState(t, definitions...), cluster: newCluster(), spy: &spy{}}
		m.options = append([]recovery.Option{
			recovery.WithBootIDPath(path),
			recovery.WithBootTime(func() (time.Time, error) { return booted, nil }),
			recovery.WithConnect(m.cluster.connect),
		}, options...)

		m.start()
		test(m)
		m.stop()
	})
}

// start starts the controllers.
func (m *machine) start() {
	controllers, err := recovery.Controllers(m.options...)
	require.NoError(m.t, err)

	for i := range controllers {
		controllers[i] = spied{Controller: controllers[i], spy: m.spy}
	}

	m.stop = ctest.Start(m.t, m.state, controllers...)
}

// up brings the kubelet up as Talos does, one resource after the other.
func (m *machine) up() {
	m.stage(runtime.MachineStageBooting)
	m.nodename(nodeName, false)
	m.kubeconfig("first")
	m.lifecycle()
	m.kubelet(false)
	m.kubelet(true)
}

// upWith creates a pod before that.
func (m *machine) upWith(daemonSet string, edits ...func(*core.Pod)) core.Pod {
	pod := m.cluster.create(daemonSet, edits...)
	m.up()

	return pod
}

// recovers lets the settle time pass.
func (m *machine) recovers() {
	m.t.Helper()
	after(12 * time.Second)
	require.Equal(m.t, specs.PhaseRecovered, m.phase())
}

func (m *machine) stage(stage runtime.MachineStage) {
	modify(m, runtime.NewMachineStatus(), func(r *runtime.MachineStatus) { r.TypedSpec().Stage = stage })
}

func (m *machine) nodename(name string, skip bool) {
	modify(m, k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID), func(r *k8s.Nodename) {
		r.TypedSpec().Nodename, r.TypedSpec().SkipNodeRegistration = name, skip
	})
}

func (m *machine) kubeconfig(hash string) {
	modify(m, k8s.NewKubeletKubeconfig(k8s.NamespaceName, k8s.KubeletKubeconfigID), func(r *k8s.KubeletKubeconfig) {
		r.TypedSpec().Hash = hash
	})
}

func (m *machine) lifecycle() {
	modify(m, k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID), func(*k8s.KubeletLifecycle) {})
}

// kubelet is what the service looks like while it runs; when it does not, there is no resource.
func (m *machine) kubelet(healthy bool) {
	modify(m, v1alpha1.NewService("kubelet"), func(r *v1alpha1.Service) {
		r.TypedSpec().Running, r.TypedSpec().Healthy = true, healthy
	})
}

// kubeletStops is what a restart of the service looks like at first.
func (m *machine) kubeletStops() {
	require.NoError(m.t, m.state.Destroy(m.t.Context(), v1alpha1.NewService("kubelet").Metadata()))
}

// shutsDown is the first thing that a reboot does.
func (m *machine) shutsDown() {
	_, err := m.state.Teardown(m.t.Context(), k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID).Metadata())
	require.NoError(m.t, err)
}

func modify[T resource.Resource](m *machine, r T, change func(T)) {
	m.t.Helper()

	_, err := safe.StateModifyWithResult(m.t.Context(), m.state, r, func(r T) error {
		change(r)

		return nil
	})
	require.NoError(m.t, err)
	synctest.Wait()
}

// after lets time pass until everything that it causes has happened.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// status is what a health check sees; nil if there is none.
func (m *machine) status() *specs.RecoveryStatus {
	m.t.Helper()
	synctest.Wait()

	res, err := safe.StateGetByID[*recoveryres.RecoveryStatus](m.t.Context(), m.state, recoveryres.RecoveryStatusID)
	if state.IsNotFoundError(err) {
		return nil
	}

	require.NoError(m.t, err)

	return res.TypedSpec()
}

func (m *machine) phase() specs.Phase { return m.status().Phase }

// daemonSet is what is published about a DaemonSet.
func (m *machine) daemonSet(name string) specs.DaemonSetRecovery {
	m.t.Helper()
	synctest.Wait()

	res, err := safe.StateGetByID[*recoveryres.DaemonSetRecovery](m.t.Context(), m.state, "kube-system/"+name)
	require.NoError(m.t, err)

	return *res.TypedSpec()
}

// versions returns the versions of all that is published, to see whether something was written.
func (m *machine) versions() []string {
	m.t.Helper()

	var versions []string

	for _, definition := range recoveryres.ResourceDefinitions() {
		rd := definition.ResourceDefinition()

		list, err := m.state.List(m.t.Context(), resource.NewMetadata(rd.DefaultNamespace, rd.Type, "", resource.VersionUndefined))
		require.NoError(m.t, err)

		for _, item := range list.Items {
			versions = append(versions, item.Metadata().String())
		}
	}

	return versions
}
