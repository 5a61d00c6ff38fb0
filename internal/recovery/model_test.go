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
// A failure prints its story, made as short as possible. More of them are tried with -rapid.checks and -rapid.steps. A
// hundred stories for each test are some 27 thousand actions and take five seconds of one core, so that some thirteen million
// take about half an hour on two, with
//
//	go test -run WhateverHappens ./internal/recovery -timeout 2h -rapid.checks 50000
func TestWhateverHappensNoPodIsLost(t *testing.T) {
	t.Parallel()

	for daemonSets := 1; daemonSets <= len(modelNames); daemonSets++ {
		for _, limit := range []int{1, 3, 10} {
			t.Run(fmt.Sprintf("with %d DaemonSets and a cap of %d", daemonSets, limit), func(t *testing.T) {
				t.Parallel()

				rapid.Check(t, func(t *rapid.T) { newWorld(noMutant, daemonSets).tellStory(t, limit) })
			})
		}
	}
}

// FuzzWhateverHappensNoPodIsLost does the same with the histories that the fuzzer makes up.
func FuzzWhateverHappensNoPodIsLost(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { newWorld(noMutant, 2).tellStory(t, 2) }))
}

// tellStory begins with a node that has just booted, and whose pods are Ready.
func (w *world) tellStory(t *rapid.T, limit int) {
	w.rejectionCap, w.rebound.settings.RejectionCap = limit, limit

	t.Repeat(w.actions())
	w.finish(t)
}
