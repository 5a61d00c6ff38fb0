// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestRebootIsNotOverInTheOldBoot(t *testing.T) {
	s := newStage(t, "old-boot", 1, worker)
	node := s.nodes[0]

	node.SetComeback(lab.Comeback{SameBoot: true})
	s.ask(node)
	require.Eventually(t, func() bool { return len(node.Boots()) > 1 }, time.Minute, 10*time.Millisecond)
	node.SetComeback(lab.Comeback{})
	node.awaitNode(lab.IsNodeReady)

	// The agent has a grant for the boot that has not ended, and acts on it again.
	s.awaitRebooted(node)

	boots := node.Boots()
	require.Len(t, boots, 3)
	assert.Equal(t, boots[0].ID, boots[1].ID)

	for _, sight := range s.witness.Phases(node.Name()) {
		if sight.Phase == v1alpha1.PhaseBack || sight.Phase == v1alpha1.PhaseDone {
			assert.True(t, sight.At.After(boots[2].Up), "%s in the old boot", sight.Phase)
		}
	}
}

func TestRebootIsNotOverWhileTheNodeIsNotReady(t *testing.T) {
	s := newStage(t, "no-network", 1, worker, worker)
	node, other := s.nodes[0], s.nodes[1]

	node.SetComeback(lab.Comeback{NoNetwork: true})
	s.ask(node)
	s.awaitPhase(node, v1alpha1.PhaseBack, reboot.ReasonNotReady)
	s.ask(other)
	s.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
	s.awaitSlots(node)
	assert.NotZero(t, s.witness.Cordoned(node.Name()))

	require.NoError(t, node.InstallNetwork())
	s.awaitRebooted(node, other)
	assert.Equal(t, 1, s.witness.MaxUnavailable())
}

func TestRebootIsNotOverBeforeItsDaemonSetPodsAreBack(t *testing.T) {
	s := newStage(t, "unrecovered", 1, worker, worker)
	node, other := s.nodes[0], s.nodes[1]

	daemonSet := s.scenario.apply("cni")
	s.awaitReady()
	s.suspendBackOff()

	letGo := s.hold(node.pod(daemonSet))

	s.ask(node)
	s.awaitPhase(node, v1alpha1.PhaseBack, reboot.ReasonNotRecovered)
	s.ask(other)
	s.awaitPhase(other, v1alpha1.PhasePending, reboot.ReasonNoSlot)
	letGo()
	s.awaitRebooted(node, other)
	assert.Equal(t, 1, s.witness.MaxUnavailable())
}
