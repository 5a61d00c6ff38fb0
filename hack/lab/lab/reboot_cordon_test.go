// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestRebootLeavesAForeignCordonAlone(t *testing.T) {
	s := newStage(t, "foreign", 1, worker)
	node := s.nodes[0]

	s.cordon(node, true)
	s.ask(node)
	s.awaitPhase(node, v1alpha1.PhaseDone, "")

	object := node.awaitNode(lab.IsNodeReady)
	assert.True(t, object.Spec.Unschedulable, "the cordon of before is still there")
	assert.Len(t, node.Boots(), 2)

	for _, sight := range s.witness.Nodes(node.Name()) {
		assert.Empty(t, sight.Mark, "it is never called the coordinator's")
	}
}

func TestRebootCountsANodeThatSomebodyElseHasCordoned(t *testing.T) {
	s := newStage(t, "counted", 1, worker, worker)
	node, cordoned := s.nodes[0], s.nodes[1]

	s.cordon(cordoned, true)
	s.ask(node)
	waiting := s.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonNoSlot)
	assert.Contains(t, waiting.Status.Message, cordoned.Name()+" is cordoned")

	s.cordon(cordoned, false)
	s.awaitRebooted(node)
	assert.Equal(t, 1, s.witness.MaxUnavailable())
}

func TestRebootIsGivenUpWhenAPersonLiftsTheCordon(t *testing.T) {
	s := newStage(t, "lifted", 1, worker)
	node := s.nodes[0]

	s.stick(node)
	s.ask(node)
	s.awaitStuck(node)
	s.cordon(node, false)
	s.awaitRestored(node, reboot.ReasonCordonLifted)

	// A cordon that follows is the person's, and stays.
	s.cordon(node, true)
	s.awaitPhase(node, v1alpha1.PhasePending, reboot.ReasonBackOff)
	node.awaitNode(func(object *corev1.Node) bool { return object.Spec.Unschedulable })
}
