// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// app is the workload that a row is about.
const app = "app"

// queue is what a row of reboots has to itself: nodes that can ask for one, a
// RebootPolicy for them, coordinators, and a witness. A cluster has one
// RebootBudget, so no two of them are on a lab at a time. At its end no more nodes
// were down at a time than the budget allows, and no mark is left.
type queue struct {
	*Stage

	policy   *v1alpha1.RebootPolicy
	witness  *lab.Witness
	replicas []*lab.Coordinator
}

// queue starts so many nodes, named after the letters. The coordinator is yet to
// be started, see start.
func (s *Stage) queue(nodes int) *queue {
	q := &queue{Stage: s, policy: lab.RebootPolicy(s.Name, s.labels())}

	s.Cleanup(func(ctx context.Context) error {
		names := make([]string, len(s.nodes))
		for i, node := range s.nodes {
			names[i] = node.Name()
		}

		return s.Lab.ClearReboots(ctx, q.policy.Name, names...)
	})

	must(s.Lab.Apply(s.ctx, q.policy))
	q.boot(nodes)

	ctx, cancel := context.WithCancel(s.ctx)
	s.Cleanup(func(context.Context) error { cancel(); return nil })

	q.witness = must1(s.Lab.Witness(ctx))
	s.Cleanup(func(ctx context.Context) error {
		cancel()
		q.witness.Wait()

		return q.verdict(ctx)
	})

	return q
}

// boot starts nodes side by side, and waits until their agents have reported.
func (q *queue) boot(nodes int) {
	group, ctx := errgroup.WithContext(q.ctx)
	added := make([]*lab.Node, nodes)

	for i := range added {
		group.Go(func() (err error) {
			added[i], err = q.Lab.AddNode(ctx, fmt.Sprintf("%s-%c", q.Name, 'a'+i), lab.WithLabels(q.labels()), lab.WithAgent(lab.RebootAgent(q.Programs.Rebound)))
			if err != nil {
				return err
			}

			return added[i].AwaitAgent(ctx)
		})
	}

	err := group.Wait()

	for _, node := range added {
		if node != nil {
			q.nodes = append(q.nodes, &Node{Node: node, stage: q.Stage})
			q.Cleanup(func(ctx context.Context) error { return q.Lab.RemoveNode(ctx, node) })
		}
	}

	must(err)
}

// budget is how many nodes may be down at a time in all rows.
const budget = 1

// verdict is what must hold however a row ends. The audit log is judged apart.
func (q *queue) verdict(ctx context.Context) error {
	found := q.witness.Exceeded(budget)

	if most := q.witness.MaxUnavailable(); most > budget {
		found = append(found, fmt.Sprintf("%d nodes were unavailable at a time", most))
	}

	marked, err := q.Lab.MarkedNodes(ctx)
	if len(marked) > 0 {
		found = append(found, fmt.Sprintf("a mark is left on %q", marked))
	}

	if len(found) > 0 {
		err = errors.Join(err, errors.New(strings.Join(found, "; ")))
	}

	return err
}

// start starts a coordinator that follows another one within seconds.
func (q *queue) start(options lab.CoordinatorOptions) *lab.Coordinator {
	options.Args = append(lab.PromptElection(), options.Args...)

	return q.startAs(options)
}

// startPatient starts one that does not lose its Lease within ten seconds, as it
// is by default.
func (q *queue) startPatient(options lab.CoordinatorOptions) *lab.Coordinator {
	options.Args = append([]string{"--log-format=console"}, options.Args...)

	return q.startAs(options)
}

func (q *queue) startAs(options lab.CoordinatorOptions) *lab.Coordinator {
	options.Binary = q.Programs.Coordinator

	if options.Proxy != nil {
		q.proxies = append(q.proxies, options.Proxy)
	}

	replica, err := q.Lab.AddCoordinator(q.ctx, fmt.Sprintf("coordinator-%s-%d", q.Name, len(q.replicas)), options)
	if replica != nil {
		q.replicas = append(q.replicas, replica)
		q.Cleanup(func(context.Context) error { return replica.Kill() })
	}

	must(err)

	return replica
}

// startBehind starts a patient coordinator behind a proxy, and returns that.
func (q *queue) startBehind() *apiproxy.Proxy {
	proxy := must1(q.Lab.Proxy())
	q.keep(q.startPatient(lab.CoordinatorOptions{Proxy: proxy}))

	return proxy
}

// keep starts the replica again whenever it ends, as a cluster does: one that has
// lost its Lease ends itself.
func (q *queue) keep(replica *lab.Coordinator) {
	ctx, cancel := context.WithCancel(q.ctx)
	kept := make(chan struct{})

	q.Cleanup(func(context.Context) error {
		cancel()
		<-kept

		return nil
	})

	go func() {
		defer close(kept)

		for ended := replica.Ended(); ; ended = replica.Ended() {
			select {
			case <-ended:
			case <-ctx.Done():
				return
			}

			// It may end again at once, for as long as there is no API server.
			select {
			case <-time.After(pollInterval):
				replica.Start(ctx) //nolint:errcheck // it is tried again
			case <-ctx.Done():
				return
			}
		}
	}()
}

// leader waits until one of the replicas leads.
func (q *queue) leader() *lab.Coordinator { return must1(lab.AwaitLeader(q.ctx, q.replicas...)) }

// setPolicy changes the RebootPolicy.
func (q *queue) setPolicy(change func(*v1alpha1.RebootPolicySpec)) {
	change(&q.policy.Spec)
	q.apply(q.policy)
}

// apply makes the objects what they are given as.
func (q *queue) apply(objects ...runtime.Object) { must(q.Lab.Apply(q.ctx, objects...)) }

// ask has the nodes' operating systems want a reboot.
func (q *queue) ask(nodes ...*Node) {
	for _, node := range nodes {
		must(node.WantReboot())
	}
}

// run gives a node an application of so many pods, which can run nowhere else, and
// of which so many may be disrupted at a time.
func (q *queue) run(node *Node, pods, maxUnavailable int32) {
	q.apply(lab.Deployment(q.Name, app, pods, lab.OnNode(node.Name())))
	must(q.Lab.AwaitReadyPods(q.ctx, q.Name, app, int(pods)))
	must(q.Lab.LimitDisruptions(q.ctx, q.Name, app, maxUnavailable))
}

// stick gives a node an application the drain of which begins and does not end.
func (q *queue) stick(node *Node) { q.run(node, 2, 1) }

// free lets all pods of the application be disrupted.
func (q *queue) free() { q.apply(lab.DisruptionBudget(q.Name, app, 100)) }

func (q *queue) await(node *Node, wanted func(*v1alpha1.NodeReboot) bool) *v1alpha1.NodeReboot {
	return must1(q.Lab.AwaitReboot(q.ctx, node.Name(), wanted))
}

// awaitPhase waits until the node's reboot is in the phase and, if it is given,
// for the reason.
func (q *queue) awaitPhase(node *Node, phase v1alpha1.Phase, reason reboot.Reason) {
	q.await(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == phase && (reason == "" || r.Status.Reason == string(reason))
	})
}

// awaitFault waits until the node's reboot says what the row expects while the
// fault is on.
func (q *queue) awaitFault(node *Node) {
	q.await(node, func(r *v1alpha1.NodeReboot) bool { return q.Saw(string(r.Status.Phase), r.Status.Message) })
}

// awaitGivenBack waits until an attempt was given up and the node is as it was.
func (q *queue) awaitGivenBack(node *Node, reason reboot.Reason) {
	found := q.await(node, func(r *v1alpha1.NodeReboot) bool {
		return r.Status.Phase == v1alpha1.PhasePending && len(r.Status.Results) > 0
	})
	result := found.Status.Results[0]

	q.Check(result.Outcome == v1alpha1.OutcomeGivenUp && result.Reason == string(reason), "it ended with %s, %s", result.Outcome, result.Reason)
	must(node.AwaitReturned(q.ctx))
}

// awaitRebooted waits until the nodes were rebooted and are schedulable again.
func (q *queue) awaitRebooted(nodes ...*Node) {
	for _, node := range nodes {
		q.awaitPhase(node, v1alpha1.PhaseDone, "")
		must(node.AwaitReturned(q.ctx))
	}
}

// isOn returns what is wanted of requests that write to such a resource.
func isOn(resource string) func(*http.Request) bool {
	return func(request *http.Request) bool {
		return apiproxy.Writes(request) && slices.Contains(strings.Split(request.URL.Path, "/"), resource)
	}
}

// lease is where coordinators say who leads.
const lease = "leases"

// work wants the requests that are wanted, but for those about the Lease.
func work(wanted func(*http.Request) bool) func(*http.Request) bool {
	return func(request *http.Request) bool {
		return wanted(request) && !slices.Contains(strings.Split(request.URL.Path, "/"), lease)
	}
}
