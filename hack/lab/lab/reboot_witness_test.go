// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// TestRebootWitnessCountsWhatIsDownAtATime has a person break what a coordinator
// must keep.
func TestRebootWitnessCountsWhatIsDownAtATime(t *testing.T) {
	s := newStage(t, "witness", 0, worker, worker)
	s.limit = len(s.nodes)

	mark := func(node *node, patch string) {
		_, err := s.cluster.Client().CoreV1().Nodes().Patch(s.ctx, node.Name(), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		require.NoError(t, err)
	}

	for _, node := range s.nodes {
		mark(node, fmt.Sprintf(`{"spec":{"unschedulable":true},"metadata":{"annotations":{%q:"uid/1"}}}`, v1alpha1.CordonAnnotation))
	}

	seen := func(what func() int) func() bool { return func() bool { return what() == len(s.nodes) } }
	require.Eventually(t, seen(s.witness.MaxUnavailable), soon, 10*time.Millisecond)
	require.Eventually(t, seen(s.witness.MaxCordoned), soon, 10*time.Millisecond)
	assert.Equal(t, []string{"2 nodes were cordoned by the coordinator at a time, of which 1 were allowed"}, s.witness.Exceeded(1))
	assert.Empty(t, s.witness.Exceeded(2))

	for _, node := range s.nodes {
		mark(node, fmt.Sprintf(`{"spec":{"unschedulable":null},"metadata":{"annotations":{%q:null}}}`, v1alpha1.CordonAnnotation))
		require.Eventually(t, func() bool { return s.witness.Nodes(node.Name())[len(s.witness.Nodes(node.Name()))-1].Available() }, soon, 10*time.Millisecond)
		assert.Positive(t, s.witness.Cordoned(node.Name()))
		assert.Zero(t, s.witness.Rebooted(node.Name()))
	}

	require.NoError(t, s.nodes[0].Reboot(s.ctx))
	require.Eventually(t, func() bool { return !s.witness.Rebooted(s.nodes[0].Name()).IsZero() }, soon, 10*time.Millisecond)
}
