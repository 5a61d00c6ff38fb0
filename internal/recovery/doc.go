// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package recovery decides what to do about the DaemonSet pods that a reboot left Failed on this node.
//
// It is one pure function, Plan: facts and a point in time in, a Decision out. It knows no client, clock, context or
// logger and starts no goroutine; reading the facts and carrying out the decision is the controller's work. The rules
// are in gate.go (may anything be done?), classify.go (what is this pod?), daemonset.go (what about this DaemonSet?) and
// node.go (what about the node as a whole?).
//
// # How it decides
//
// Before each delete, all of this has to be true: the kubelet is running and healthy, and is not being shut down (an agent
// asks the Node object too); the machine is booting or running; the Node object carries the id of this boot. The Node need
// not be Ready: the stuck pod is often the CNI, without which it is not. Then, of this node's Failed DaemonSet pods:
//
//   - one that is left from before this boot, or from the shutdown, is deleted: the first hundred per DaemonSet at once, then
//     one per second;
//   - one that the kubelet has rejected in this boot is deleted after 0, 1, 2, 4, … 256 s, ten times at most;
//   - one that failed for another reason (Evicted, …) is left alone, with the reason on record.
//
// The DaemonSet is then followed until a replacement is Ready. If none comes in 5 minutes (15 if no DaemonSet controller shows
// life), the node counts as recovered without it. The message says that it "did not come back", and it is looked out for
// further. When nothing has failed for 12 s, the node is recovered, and nothing is sent until the kubelet starts again.
//
// # What the phases mean
//
//   - waiting (condition Unknown): something has to come first; the message says what
//   - recovering (False): pods are being replaced, or watched for a last moment
//   - recovered (True): no DaemonSet pod is waited for any more; the message names one that did not come back
//   - degraded (False): somebody has to look: a pod cannot be deleted, or fails again and again
//   - disabled (no condition): the machine does not take part in Kubernetes, or machined does the work
//
// A condition survives a reboot, so it counts only with the boot id in its message.
//
// # Limits
//
// The clocks of the API server and of the node have to agree to about a second. Setting the node's clock later does no harm.
package recovery

//go:generate go tool -modfile=../../hack/tools/go.mod enumer -type=Obstacle -linecomment -output=obstacle.generated.go
