// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "time"

const (
	// backOffFirst and backOffLimit bound the time between two attempts for a node, which doubles with each that was given up.
	backOffFirst = time.Minute
	backOffLimit = time.Hour

	// evictionDelay and evictionDelayLimit do the same for two tries to evict one pod. If its budget comes to allow a
	// disruption in between, it is tried at once.
	evictionDelay      = time.Second
	evictionDelayLimit = 30 * time.Second

	// windowInterval is when to look for a window again if there is none that is long enough.
	windowInterval = 24 * time.Hour

	// checkInterval is for how long an answer of a Talos API counts.
	checkInterval = 30 * time.Second
	// unsentInterval is the time between two requests to reboot if the first one did not get anywhere.
	unsentInterval = 5 * time.Second
	// aliveAfter is how long after a request to reboot the kubelet must have reported, in the same boot, for the request to
	// count as lost. Talos begins a reboot at once, and gives the kubelet 30 s to end its pods
	// (siderolabs/talos v1.13.9, pkg/machinery/constants).
	aliveAfter = 90 * time.Second

	// keptResults is how many results are kept.
	keptResults = 5
	// namedPods is how many pods are named in a status, and namedInMessage in its message.
	namedPods      = 10
	namedInMessage = 3

	// conditionEtcdIsVoter is the condition of a Node of K3s and RKE2 with etcd (k3s-io/k3s, pkg/etcd/etcd.go).
	conditionEtcdIsVoter = "EtcdIsVoter"
	// annotationRecovery is where rebound reports on the DaemonSet pods of a node (pkg/resources/recovery/specs). It is named in
	// a message only.
	annotationRecovery = "recovery.talos.dev/status"
)
