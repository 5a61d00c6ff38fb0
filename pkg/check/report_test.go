// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check_test

import (
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/resource/typed"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// bootID is a resource of Talos v1.14, as that puts it on the wire.
type bootID = typed.Resource[bootIDSpec, bootIDExtension]

type bootIDSpec struct {
	BootID string `yaml:"bootID"`
}

func (spec bootIDSpec) DeepCopy() bootIDSpec { return spec }

func (spec bootIDSpec) MarshalProto() ([]byte, error) {
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), spec.BootID), nil
}

type bootIDExtension struct{}

func (bootIDExtension) ResourceDefinition() meta.ResourceDefinitionSpec {
	return meta.ResourceDefinitionSpec{Type: "BootIDs.runtime.talos.dev", DefaultNamespace: runtime.NamespaceName}
}

func newBootID(id string) *bootID {
	return typed.NewResource[bootIDSpec, bootIDExtension](
		resource.NewMetadata(runtime.NamespaceName, "BootIDs.runtime.talos.dev", "boot-id", resource.VersionUndefined), bootIDSpec{BootID: id},
	)
}

// annotations are those of a Node that carries a report.
func annotations(report specs.NodeReport) map[string]string {
	return map[string]string{"example.com/other": "x", specs.NodeAnnotation: report.String()}
}

// fetchOne asks a node and says what the verdict on it is.
func fetchOne(t *testing.T, cluster *ctest.Cluster) string {
	t.Helper()

	node := check.Judge(check.Fetch(t.Context(), cluster.Client(t).COSI, check.Nodes("worker"))).Nodes[0]

	return node.Status.String() + ": " + node.Reason
}

// TestFetchFollowsAnAgentThroughABoot is about a node of stock Talos, from a boot to its recovery.
func TestFetchFollowsAnAgentThroughABoot(t *testing.T) {
	t.Parallel()

	stale := reported(earlierBoot, specs.PhaseRecovered, "")
	stale.FinishedAt = time.Now().Add(-time.Hour)
	fresh := reported(thisBoot, specs.PhaseRecovered, "")
	fresh.FinishedAt = time.Now().Add(time.Hour)

	for _, tc := range []struct {
		name        string
		definitions []meta.ResourceWithRD
		synced      func(*testing.T, *ctest.Cluster, *ctest.Node)
		stale       string
	}{
		{
			name:        "Talos v1.14 tells the boot id",
			definitions: []meta.ResourceWithRD{&bootID{}},
			synced:      func(t *testing.T, _ *ctest.Cluster, node *ctest.Node) { node.Create(t, newBootID(thisBoot)) }, //nolint:thelper // it is the test
			stale:       "waiting: its report is of an earlier boot",
		},
		{
			name: "Talos v1.13 tells since when its clock is right",
			synced: func(t *testing.T, cluster *ctest.Cluster, node *ctest.Node) { //nolint:thelper // it is the test
				node.SyncTime(t, false)
				assert.Equal(t, "waiting: its report may be of an earlier boot", fetchOne(t, cluster))
				node.SyncTime(t, true)
			},
			stale: "waiting: its report may be of an earlier boot",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			node := cluster.AddStockKubernetesNode(t, "worker", tc.definitions...)
			assert.Equal(t, "waiting: its Node is not known yet, it has just booted", fetchOne(t, cluster))

			node.Mirror(t, "worker-1", false, annotations(stale))
			assert.Equal(t, "waiting: its report may be of an earlier boot", fetchOne(t, cluster))

			tc.synced(t, cluster, node)
			node.Mirror(t, "worker-1", true, annotations(stale))
			assert.Equal(t, tc.stale, fetchOne(t, cluster))

			node.Mirror(t, "worker-1", true, annotations(reported(thisBoot, specs.PhaseWaiting, "waiting for the kubelet")))
			assert.Equal(t, "waiting: waiting for the kubelet", fetchOne(t, cluster))

			node.Mirror(t, "worker-1", true, annotations(fresh))
			assert.Equal(t, "passed: recovered", fetchOne(t, cluster))

			node.Mirror(t, "worker-1", false, annotations(fresh))
			assert.Equal(t, "waiting: its Node is not Ready", fetchOne(t, cluster))
		})
	}
}

func TestFetchTellsNodesWithoutAnAgent(t *testing.T) {
	t.Parallel()

	cluster := ctest.NewCluster(t)
	node := cluster.AddStockKubernetesNode(t, "worker")
	node.SkipRegistration(t)
	assert.Equal(t, "skipped: it is without rebound", fetchOne(t, cluster), "there is nobody to report")

	node.Mirror(t, "worker-1", true, map[string]string{"example.com/other": "x"})
	assert.Equal(t, "skipped: it is without rebound", fetchOne(t, cluster))
}

// TestWaitPassesWhenAnAgentReports is about both ways to wait: a node with an agent is asked, whether others are watched or
// not.
func TestWaitPassesWhenAnAgentReports(t *testing.T) {
	t.Parallel()

	for name, options := range ways(check.WaitOptions{Interval: 20 * time.Millisecond}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cluster := ctest.NewCluster(t)
			node := cluster.AddStockKubernetesNode(t, "worker-1", &bootID{})
			node.Create(t, newBootID(thisBoot))

			w := start(t.Context(), t, cluster.Client(t).COSI, options, "worker-1")
			w.says(t, "worker-1: its Node is not known yet, it has just booted")

			node.Mirror(t, "worker-1", true, annotations(reported(earlierBoot, specs.PhaseRecovered, "")))
			w.says(t, "worker-1: its report is of an earlier boot")

			node.Mirror(t, "worker-1", true, annotations(reported(thisBoot, specs.PhaseRecovered, "")))
			w.passes(t)

			verdict, err := w.end(t)
			require.NoError(t, err)
			assert.Equal(t, "1 node recovered", verdict.Reason)
		})
	}
}
