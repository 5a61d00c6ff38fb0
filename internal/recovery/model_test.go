// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.


package recovery_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestWhateverHappensNoPodIsLost is the model check of design.md. A simulated API server, DaemonSet controller, kubelet and
// node, with rebound's real plan among them, do in any order whatever they can do, and after every step the promises must
// hold. Then the faults stop, and everything must come to a good end. What is simulated of Kubernetes is checked against the
// real one in TestTheModelDoesWhatKubernetesDoes.
//
// A failure prints its story, made as short as possible. More of them are tried with -rapid.checks and -rapid.steps: some ten
// million steps take half an hour on two cores with
//
//	go test -run WhateverHappens ./internal/recovery -timeout 2h -rapid.checks 50000
func TestWhateverHappensNoPodIsLost(t *testing.T) {
	t.Parallel()

	for daemonSets := 1; daemonSets <= len(modelNames); daemonSets++ {
		t.Run(fmt.Sprintf("with %d DaemonSets", daemonSets), func(t *testing.T) {
			t.Parallel()

			rapid.Check(t, func(t *rapid.T) { newWorld(noMutant, daemonSets).tellStory(t) })
		})
	}
}

// tellStory begins with a node that has just booted, and whose pods are Ready.
func (w *world) tellStory(t *rapid.T) {
	w.rebound.settings.RejectionCap = rapid.SampledFrom([]int{1, 2, 3, 10}).Draw(t, "cap")
	w.rejectionCap = w.rebound.settings.RejectionCap

	t.Repeat(w.actions())
	w.finish(t)
}
