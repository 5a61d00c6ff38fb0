// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestNodeWithReboundDeletesItsFailedPod(t *testing.T) {
	t.Parallel()

	cluster := shared(t)
	ctx := within(t, 3*time.Minute)
	name, label, selector := own("rebound")

	node := addNode(ctx, t, cluster, name, label, lab.WithRebound(lab.SettleTime(time.Second)))

	_, err := cluster.ApplyDaemonSet(ctx, lab.DaemonSet(name, "cni", selector))
	require.NoError(t, err)

	for range 4 {
		_, err = node.WaitDaemonSetPodsReady(ctx)
		require.NoError(t, err)
		require.NoError(t, node.Reboot(ctx))
	}

	healthy, err := node.WaitKubeletHealthy(ctx)
	require.NoError(t, err)

	ready, err := node.WaitDaemonSetPodsReady(ctx)
	require.NoError(t, err)

	t.Logf("from healthy kubelet to Ready pod: %s", ready.Sub(healthy))

	st, err := node.COSI()
	require.NoError(t, err)

	_, err = st.WatchFor(ctx, reboundres.NewRecoveryStatus().Metadata(), state.WithCondition(func(res resource.Resource) (bool, error) {
		status, ok := res.(*reboundres.RecoveryStatus)
		if !ok {
			return false, nil
		}

		t.Logf("%+v", *status.TypedSpec())

		return status.TypedSpec().Phase == specs.PhaseRecovered, nil
	}))
	require.NoError(t, err)

	records, err := cluster.Audit()
	require.NoError(t, err)

	byNode := 0

	for _, record := range records {
		if record.DeletesPod() && record.Namespace == name && record.User == "system:node:"+name {
			byNode++

			t.Logf("%s %s %s", record.UserAgent, record.Name, record.Pod.Status.Reason)
		}
	}

	assert.Positive(t, byNode)
}
