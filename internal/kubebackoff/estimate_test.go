// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
	"github.com/talos-rebound/rebound/internal/recovery"
)

const daemonSetUID = "daemon-set"

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// failed is a pod of kube-system/proxy that the kubelet of worker-a has failed.
func failed(name string, created time.Time, changes ...func(*recovery.Pod)) recovery.Pod {
	pod := recovery.Pod{
		Namespace: "kube-system", Name: name, UID: "uid-" + name, NodeName: "worker-a", Failed: true,
		Owner:   recovery.Owner{Group: recovery.GroupApps, Version: "v1", Kind: recovery.KindDaemonSet, Name: "proxy", UID: daemonSetUID},
		Reason:  "NodeShutdown",
		Created: created, Started: created,
	}

	for _, change := range changes {
		change(&pod)
	}

	return pod
}

// deletes are attempts of the DaemonSet on worker-a.
func deletes(at ...int) []kubebackoff.Attempt {
	attempts := make([]kubebackoff.Attempt, len(at))
	for i, seconds := range at {
		attempts[i] = kubebackoff.Attempt{DaemonSet: daemonSetUID, Pod: "before", Node: "worker-a", At: after(seconds)}
	}

	return attempts
}

func TestEstimate(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		pod      recovery.Pod
		attempts []kubebackoff.Attempt
		now      int
		// earliest, likely and latest are in seconds after start; -1 for none.
		earliest, likely, latest int
	}{
		"without events it begins with the pod": {
			pod: failed("a", after(0)), now: 3, earliest: 4, likely: 4, latest: 901,
		},
		"a wait that would be over is not it": {
			pod: failed("a", after(0)), now: 40, earliest: 64, likely: 64, latest: 901,
		},
		"at the very end of a wait, the next one": {
			pod: failed("a", after(0)), now: 9, earliest: 16, likely: 16, latest: 901,
		},
		"times come in whole seconds": {
			pod: failed("a", after(0)), now: 8, earliest: 8, likely: 8, latest: 901,
		},
		"an event tells when it has begun": {
			pod: failed("a", after(0)), attempts: deletes(1), now: 3, earliest: 3, likely: 3, latest: 902,
		},
		"every event in a row has doubled it": {
			pod: failed("a", after(31)), attempts: deletes(0, 1, 3, 7, 15, 31), now: 32, earliest: 32, likely: 63, latest: 932,
		},
		"a pause of half an hour begins anew": {
			pod: failed("a", after(1901)), attempts: deletes(0, 1, 3, 7, 1900, 1901), now: 1902, earliest: 1902, likely: 1903, latest: 2802,
		},
		"the longest is 900 seconds": {
			pod: failed("a", after(0)), now: 600, earliest: 900, likely: 900, latest: 901,
		},
		"many events mean no more than that": {
			pod: failed("a", after(15)), attempts: deletes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14), now: 15, earliest: 16, likely: 915, latest: 916,
		},
		"the whole wait may count from the failure": {
			pod: failed("a", after(0), func(pod *recovery.Pod) { pod.Started, pod.DisruptedAt = after(10), after(60) }), now: 61,
			earliest: 64, likely: 64, latest: 961,
		},
		"longer than the longest is something else": {
			pod: failed("a", after(0)), now: 901, earliest: -1, likely: -1, latest: -1,
		},
		"events of others say nothing": {
			pod: failed("a", after(0)), now: 3, earliest: 4, likely: 4, latest: 901,
			attempts: []kubebackoff.Attempt{
				{DaemonSet: "another", Pod: "x", Node: "worker-a", At: after(2)},
				{DaemonSet: daemonSetUID, Pod: "x", Node: "worker-b", At: after(2)},
				{DaemonSet: daemonSetUID, Pod: "a", Node: "worker-a", At: after(2)},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			wait := kubebackoff.Estimate(tc.pod, tc.attempts, after(tc.now))

			if tc.earliest < 0 {
				assert.True(t, wait.Overdue)
				assert.Zero(t, wait.Earliest)

				return
			}

			assert.False(t, wait.Overdue)
			assert.Equal(t, after(tc.earliest), wait.Earliest, "earliest")
			assert.Equal(t, after(tc.likely), wait.Likely, "likely")
			assert.Equal(t, after(tc.latest), wait.Latest, "latest")
		})
	}
}

// TestEstimateHoldsTheTruth has a controller delete the pods of a kubelet that rejects, with the back-off that it has. Whatever
// is still known of the events, the truth is within the estimate.
func TestEstimateHoldsTheTruth(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		var (
			attempts []kubebackoff.Attempt
			at       = start.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)-1).Draw(t, "begun")))
			backOff  = time.Second
			pod      = failed("pod", start)
		)

		for range rapid.IntRange(1, 14).Draw(t, "deletes") {
			pod = failed("pod", at.Truncate(time.Second))

			if rapid.Bool().Draw(t, "the event is there") {
				attempts = append(attempts, kubebackoff.Attempt{DaemonSet: daemonSetUID, Pod: "before", Node: "worker-a", At: at.Truncate(time.Second)})
			}

			at = at.Add(backOff)
			backOff = min(2*backOff, 15*time.Minute)
		}

		now := pod.Created.Add(time.Duration(rapid.Int64Range(0, int64(at.Sub(pod.Created))-1).Draw(t, "now")))
		wait := kubebackoff.Estimate(pod, attempts, now)

		if wait.Overdue || wait.Earliest.After(at) || wait.Latest.Before(at) {
			t.Fatalf("deleted at %s, estimated at %s: %+v", at, now, wait)
		}

		if wait.Likely.Before(wait.Earliest) || wait.Likely.After(wait.Latest) || wait.Earliest.Before(now) {
			t.Fatalf("out of order: %+v", wait)
		}
	})
}
