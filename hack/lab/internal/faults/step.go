// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"net/http"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// oneBack is the end of a recovery in which one pod had to be replaced, and was.
const oneBack = "recovered (DaemonSets: 1 recovered), pods deleted: 1, and all pods are Ready"

// step is a moment of a recovery at which a fault can begin.
type step struct {
	when  string
	begin func(s *Stage, options ...lab.NodeOption) moment
}

// moment is a recovery that is at a step.
type moment struct {
	node *Node
	// resume lets it go on while the fault is on, and finish lets it end when the
	// fault is over.
	resume, finish func()
}

// steps are those of a recovery, in its order. Rebound is behind a proxy.
func steps() []step {
	return []step{
		{"before the first list", beforeList},
		{"between list and delete", beforeDelete},
		{"during the delete", duringDelete},
		{"while following the replacement", whileFollowing},
		{"while settling", whileSettling},
	}
}

func nothing() {}

// fail boots a node with DaemonSet proxy and takes it down again, so that one
// Failed pod is left, which rebound alone will delete.
func (s *Stage) fail(options ...lab.NodeOption) *Node {
	node := s.AddNode("", options...)
	s.Apply("proxy")
	s.AwaitReady()
	s.SuspendBackOff()
	must(node.Stop(s.ctx))

	return node
}

func beforeList(s *Stage, options ...lab.NodeOption) moment {
	node := s.fail(append(options, s.Rebound(), lab.WithProxy())...)

	return moment{node: node, resume: func() { must(node.Boot(s.ctx)) }, finish: nothing}
}

func beforeDelete(s *Stage, options ...lab.NodeOption) moment {
	node := s.fail(append(options, s.Rebound(), lab.WithProxy())...)
	node.Proxy().Hold(deletesPod)
	must(node.Boot(s.ctx))
	must(node.Proxy().AwaitHeld(s.ctx, func(held []string) bool { return len(held) > 0 }))

	return moment{node: node, resume: node.Proxy().Release, finish: nothing}
}

// duringDelete is when the API server asks an admission webhook.
func duringDelete(s *Stage, options ...lab.NodeOption) moment {
	node := s.fail(append(options, s.Rebound(), lab.WithProxy())...)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(asked) })

	s.AddWebhook(admissionv1.ValidatingWebhook{FailurePolicy: new(admissionv1.Fail), TimeoutSeconds: new(int32(30))},
		func(w http.ResponseWriter, r *http.Request) {
			first()

			select {
			case <-answer:
				lab.AnswerReview(w, r, nil)
			case <-r.Context().Done():
			}
		})

	must(node.Boot(s.ctx))

	select {
	case <-asked:
	case <-s.ctx.Done():
		s.Fail("nobody asked the webhook")
	}

	return moment{node: node, resume: func() { close(answer) }, finish: nothing}
}

func whileFollowing(s *Stage, options ...lab.NodeOption) moment {
	return followed(s, func(*Node) {}, options...)
}

// followed does something to the node before it boots.
func followed(s *Stage, prepare func(*Node), options ...lab.NodeOption) moment {
	node := s.AddNode("", append(options, s.Rebound(), lab.WithProxy())...)
	s.Apply("proxy", lab.ReadyGate())
	must(s.Lab.OpenReadyGate(s.ctx, s.awaitPod("")))
	s.AwaitReady()
	s.SuspendBackOff()
	must(node.Stop(s.ctx))
	prepare(node)
	must(node.Boot(s.ctx))

	record := node.AwaitRecord("proxy", func(record specs.DaemonSetRecovery) bool { return record.Replacement != "" })

	return moment{node: node, resume: nothing, finish: func() {
		must(s.Lab.OpenReadyGate(s.ctx, s.awaitPod(record.Replacement)))
	}}
}

func whileSettling(s *Stage, options ...lab.NodeOption) moment {
	node := s.fail(append(options, lab.WithRebound(lab.SettleTime(5*settleTime)), lab.WithProxy())...)
	must(node.Boot(s.ctx))
	node.Await(func(status specs.RecoveryStatus) bool {
		return strings.Contains(status.Message, "watching until nothing fails")
	})

	return moment{node: node, resume: nothing, finish: nothing}
}

// heldOnce is a node whose recovery waits for the pod of its only DaemonSet, which
// a finalizer holds, until letGo is called.
func (s *Stage) heldOnce(options ...lab.NodeOption) (node *Node, letGo func()) {
	node = s.fail(append(options, s.Rebound())...)
	letGo = s.Hold(s.awaitPod(""))

	must(node.Boot(s.ctx))
	node.AwaitPhase(specs.PhaseDegraded)

	return node, letGo
}

// awaitPod waits for the pod with the name, or for any if it is empty.
func (s *Stage) awaitPod(name string) *corev1.Pod {
	var found *corev1.Pod

	s.Await("there is a pod", func() bool {
		for _, pod := range s.Pods() {
			if name == "" || pod.Name == name {
				found = &pod
			}
		}

		return found != nil
	})

	return found
}

// AddWebhook has the API server ask the handler, for the time of the row, see
// [lab.Lab.AddWebhook].
func (s *Stage) AddWebhook(webhook admissionv1.ValidatingWebhook, handler http.HandlerFunc) *lab.Webhook {
	added := must1(s.Lab.AddWebhook(s.ctx, s.Name, webhook, handler))
	s.Cleanup(added.Remove)

	return added
}

// What rebound asks for, for the proxy.

// deletesPod is for the delete of a pod.
func deletesPod(request *http.Request) bool {
	return request.Method == http.MethodDelete && strings.Contains(request.URL.Path, "/pods/")
}

// readsNode is for the look at the node's own Node.
func readsNode(request *http.Request) bool {
	return request.Method == http.MethodGet && strings.HasPrefix(request.URL.Path, "/api/v1/nodes/")
}

// watchesPods is for the watch of the node's pods, and for a list of them.
func watchesPods(request *http.Request) bool {
	return request.Method == http.MethodGet && request.URL.Path == "/api/v1/pods"
}

// watchesOn is for a watch that goes on after another one.
func watchesOn(request *http.Request) bool {
	query := request.URL.Query()

	return watchesPods(request) && query.Get("watch") != "" && query.Get("sendInitialEvents") != "true"
}
