// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// held is what a recovery says whose Failed pod cannot go, which is how a row has
// it stop in the middle.
const held = `proxy: cannot delete proxy-POD: pod "proxy-POD" is held by finalizers: lab.test/hold`

// revision is an annotation that makes a DaemonSet another one.
const revision = "lab.test/revision"

// daemonSetRows are about the DaemonSets whose pods have failed.
func daemonSetRows() []Row {
	return []Row{
		{
			Name: "a DaemonSet is deleted in the middle", Fault: "nobody wants the replacement", When: "while its Failed pod is held", Lasts: "for ever",
			Phase: "recovering", Message: "proxy: waiting for the replacement of proxy-POD",
			End:      "recovered (DaemonSets: 1 recovered, 1 did not come back (proxy)), pods deleted: 2, and all pods are Ready",
			Requests: 60, Limit: 9 * time.Minute, Play: playDeleted,
		},
		{
			Name: "a DaemonSet is recreated with the same name", Fault: "the DaemonSet has another UID", When: "while its Failed pod is held", Lasts: "for ever",
			Phase: "degraded", Message: held, End: oneBack, Requests: 40,
			Play: func(s *Stage) (string, error) {
				node, daemonSet, letGo := s.heldInTheMiddle(true)
				s.deleteDaemonSet(daemonSet, metav1.DeletePropagationBackground)
				s.Check(s.Apply("proxy").UID != daemonSet.UID, "it is the same DaemonSet")
				letGo()

				return node.End(), nil
			},
		},
		{
			Name: "a DaemonSet is updated in the middle", Fault: "a rolling update", When: "while its Failed pod is held", Lasts: "for ever",
			Phase: "degraded", Message: held, End: "recovered (DaemonSets: 1 recovered), and all pods are Ready and of the new revision", Requests: 40,
			Play: func(s *Stage) (string, error) {
				// An update deletes pods, which a suspended back-off does not allow.
				node, _, letGo := s.heldInTheMiddle(false)
				updated := s.Apply("proxy", lab.Annotations(map[string]string{revision: "2"}))
				letGo()

				status := node.AwaitPhase(specs.PhaseRecovered)

				s.Await("the pods are of the new revision", func() bool {
					pods := s.Pods()

					return len(pods) == 1 && metav1.IsControlledBy(&pods[0], updated) && pods[0].Annotations[revision] == "2" && lab.IsPodReady(&pods[0])
				})

				return phaseName(status.Phase) + " (" + s.Plain(status.Message) + "), and all pods are Ready and of the new revision", nil
			},
		},
		{
			Name: "the Failed pods are orphaned", Fault: "the DaemonSet is deleted with --cascade=orphan", When: "while the node is down", Lasts: "for ever",
			End: "recovered (no Failed DaemonSet pods), pods deleted: 0, and the orphan is left alone", Requests: 12, Quick: true,
			Play: func(s *Stage) (string, error) {
				node := s.AddNode("", s.Rebound())
				daemonSet := s.Apply("proxy")
				s.AwaitReady()
				s.SuspendBackOff()
				must(node.Stop(s.ctx))
				s.deleteDaemonSet(daemonSet, metav1.DeletePropagationOrphan)
				must(node.Start(s.ctx))

				end := node.Tell(node.AwaitPhase(specs.PhaseRecovered))
				pods := s.Pods()
				s.Check(len(pods) == 1 && pods[0].Status.Phase == corev1.PodFailed && metav1.GetControllerOf(&pods[0]) == nil, "the pods are %+v", pods)

				return end + ", and the orphan is left alone", nil
			},
		},
	}
}

// heldInTheMiddle is a node that has booted, with a recovery that waits for a
// pod until letGo is called. If the back-off is suspended, rebound alone has
// deleted it.
func (s *Stage) heldInTheMiddle(suspended bool) (node *Node, daemonSet *appsv1.DaemonSet, letGo func()) {
	node = s.AddNode("", s.Rebound())
	daemonSet = s.Apply("proxy")
	s.AwaitReady()

	if suspended {
		s.SuspendBackOff()
	}

	letGo = s.Hold(node.Pod(daemonSet))

	must(node.Reboot(s.ctx))
	node.AwaitFault()

	return node, daemonSet, letGo
}

// deleteDaemonSet returns when the DaemonSet is gone.
func (s *Stage) deleteDaemonSet(daemonSet *appsv1.DaemonSet, propagation metav1.DeletionPropagation) {
	client := s.Lab.Client().AppsV1().DaemonSets(daemonSet.Namespace)

	must(client.Delete(s.ctx, daemonSet.Name, metav1.DeleteOptions{PropagationPolicy: &propagation}))
	s.Await("the DaemonSet is gone", func() bool {
		_, err := client.Get(s.ctx, daemonSet.Name, metav1.GetOptions{})

		return apierrors.IsNotFound(err)
	})
}

// playDeleted has another DaemonSet whose pod is replaced meanwhile: without this
// sign of life, rebound takes the controller manager for dead.
func playDeleted(s *Stage) (string, error) {
	node := s.AddNode("", s.Rebound())
	proxy, cni := s.Apply("proxy"), s.Apply("cni")
	s.AwaitReady()
	s.SuspendBackOff()

	letGo := s.Hold(node.Pod(proxy))

	must(node.Reboot(s.ctx))
	node.Await(func(status specs.RecoveryStatus) bool {
		return status.Counts.Blocked == 1 && status.Counts.Recovered == 1
	})
	s.deleteDaemonSet(proxy, metav1.DeletePropagationBackground)
	letGo()
	node.AwaitFault()

	pod := node.Pod(cni)
	must(s.Lab.Client().CoreV1().Pods(s.Name).Delete(s.ctx, pod.Name, metav1.DeleteOptions{}))

	return node.End(), nil
}
