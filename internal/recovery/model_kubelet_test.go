// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

// kubeletState is what a kubelet is doing.
type kubeletState string

const (
	kubeletOff    kubeletState = "off"
	kubeletUp     kubeletState = "up"
	kubeletEnding kubeletState = "shutting down"
)

// kubelet is the kubelet of the node, as of Kubernetes 1.36.
type kubelet struct {
	wrong wrong
	state kubeletState
	// run counts its starts. A pod is admitted once in each.
	run int
}

// podStatus is what a kubelet says about a pod.
type podStatus struct {
	// gone is whether it has removed the pod, which was being deleted.
	gone   bool
	failed bool
	// reason is the one of a pod that has failed.
	reason string
	ready  bool
}

// statuses are what the kubelet may say next about a pod. It rejects the pod, when it has to admit it, for the reason in
// rejects, if there is one.
func (k *kubelet) statuses(pod *podObject, rejects string) []podStatus {
	if k.wrong == rejectsNothing {
		rejects = ""
	}

	switch {
	case k.state == kubeletOff:
		return nil
	case pod.Deleting && pod.Failed:
		return []podStatus{{gone: true}}
	case pod.Deleting:
		return []podStatus{{gone: true}, {}, {failed: true}}
	case pod.Failed:
		return nil // for ever
	case k.state == kubeletEnding && (!pod.Started.IsZero() || k.wrong != admitsWhileEnding):
		return k.endings(pod)
	case pod.admittedIn != k.run && rejects != "":
		// It may say first that it has seen the pod. A kubelet that has just started says ten seconds later what came of it.
		return []podStatus{{failed: true, reason: rejects}, {}}
	default:
		return []podStatus{{ready: true}, {}, {failed: true, reason: "Evicted"}}
	}
}

// endings are what a kubelet that is shutting down says about a pod: it rejects what it has not admitted, and ends the others.
func (k *kubelet) endings(pod *podObject) []podStatus {
	switch {
	case pod.Started.IsZero():
		return []podStatus{{failed: true, reason: "NodeShutdown"}}
	case k.wrong == endsNothing:
		return []podStatus{{}}
	default:
		return []podStatus{{failed: true, reason: "Terminated"}, {}}
	}
}
