// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// pollInterval is how often is looked for what nobody tells of.
const pollInterval = 100 * time.Millisecond

// cleanTimeout bounds what is done after a row.
const cleanTimeout = time.Minute

// settleTime does not hold up a row.
const settleTime = time.Second

// Programs are the binaries and files that rows need, besides the running one.
type Programs struct {
	// Rebound and Coordinator are the paths of the binaries, Manifests that of the
	// folder with the coordinator's manifests.
	Rebound, Coordinator, Manifests string
}

// Stage is what a row has to itself: a namespace, nodes, and DaemonSets that run
// on no other node. A method that cannot do what it is asked ends the row, with
// what was wrong; it must be called by the goroutine that plays the row.
type Stage struct {
	// Lab is the control plane. Whether others are on it is for the row to say, see
	// [Place].
	Lab      *lab.Lab
	Programs Programs
	// Name is that of the namespace, and begins the name of every node.
	Name string
	Row  *Row

	ctx   context.Context
	began time.Time
	nodes []*Node
	// daemonSets are the names of those that were applied.
	daemonSets []string
	// proxies are those of coordinators.
	proxies  []*apiproxy.Proxy
	cleanups []func(context.Context) error

	// saw is what was seen while the fault was on.
	saw struct {
		sync.Mutex

		phase, message string
	}
}

// Cleanup has something done after the row, last things first, however it ended.
func (s *Stage) Cleanup(do func(ctx context.Context) error) { s.cleanups = append(s.cleanups, do) }

// Saw notes what is to be seen while the fault is on, if it is what the row
// expects: message may be longer.
func (s *Stage) Saw(phase, message string) bool {
	if phase != s.Row.Phase || !contains(s.Plain(message), s.Row.Message) {
		return false
	}

	s.saw.Lock()
	defer s.saw.Unlock()

	s.saw.phase, s.saw.message = phase, s.Row.Message

	return true
}

// labels are those of the row's nodes, which its DaemonSets select.
func (s *Stage) labels() map[string]string { return map[string]string{"lab.test/owner": s.Name} }

// Rebound runs rebound in machined with a settle time that does not hold up a
// row.
func (s *Stage) Rebound(options ...lab.ReboundOption) lab.NodeOption {
	return lab.WithRebound(append([]lab.ReboundOption{lab.SettleTime(settleTime)}, options...)...)
}

// Agent runs rebound as a static pod with such a settle time. Its kubeconfig is
// not the kubelet's, so that it can be behind a proxy.
func (s *Stage) Agent(args ...string) lab.NodeOption {
	return lab.WithAgent(lab.Agent{
		Binary: s.Programs.Rebound, Platform: platform.K3s, Args: append([]string{"--settle-time=" + settleTime.String()}, args...),
	})
}

// AddNode adds a node for the time of the row. The suffix tells it from the row's
// other nodes, and may be empty.
func (s *Stage) AddNode(suffix string, options ...lab.NodeOption) *Node {
	added := must1(s.Lab.AddNode(s.ctx, s.Name+suffix, append(options, lab.WithLabels(s.labels()))...))
	node := &Node{Node: added, stage: s}

	s.nodes = append(s.nodes, node)
	s.Cleanup(func(ctx context.Context) error { return s.Lab.RemoveNode(ctx, added) })

	return node
}

// Apply creates or changes a DaemonSet that runs on the row's nodes.
func (s *Stage) Apply(name string, options ...lab.DaemonSetOption) *appsv1.DaemonSet {
	return must1(s.Lab.ApplyDaemonSet(s.ctx, s.build(name, options...)))
}

// build returns what Apply applies.
func (s *Stage) build(name string, options ...lab.DaemonSetOption) *appsv1.DaemonSet {
	if !slices.Contains(s.daemonSets, name) {
		s.daemonSets = append(s.daemonSets, name)
	}

	return lab.DaemonSet(s.Name, name, append(options, lab.NodeSelector(s.labels()))...)
}

// AwaitReady waits until the DaemonSets have Ready pods on every node.
func (s *Stage) AwaitReady() {
	for _, node := range s.nodes {
		must1(node.WaitDaemonSetPodsReady(s.ctx))
	}
}

// SuspendBackOff has rebound alone delete the pods of the namespace, see
// [lab.Lab.SuspendBackOff].
func (s *Stage) SuspendBackOff() {
	must(s.Lab.SuspendBackOff(s.ctx, s.Name))
	s.Cleanup(func(ctx context.Context) error {
		policies := s.Lab.Client().AdmissionregistrationV1()

		return errors.Join(
			policies.ValidatingAdmissionPolicyBindings().Delete(ctx, s.Name, metav1.DeleteOptions{}),
			policies.ValidatingAdmissionPolicies().Delete(ctx, s.Name, metav1.DeleteOptions{}),
		)
	})
}

// Hold keeps the pod, once it is deleted, until letGo is called.
func (s *Stage) Hold(pod *corev1.Pod) (letGo func()) {
	must(s.Lab.HoldPod(s.ctx, pod))
	s.Cleanup(func(ctx context.Context) error {
		if err := s.Lab.ReleasePod(ctx, pod); !apierrors.IsNotFound(err) {
			return err
		}

		return nil
	})

	return func() { must(s.Lab.ReleasePod(s.ctx, pod)) }
}

// Reboot reboots all nodes at the same moment, and returns when they have
// registered again.
func (s *Stage) Reboot() {
	group, ctx := errgroup.WithContext(s.ctx)

	for _, node := range s.nodes {
		group.Go(func() error { return node.Reboot(ctx) })
	}

	must(group.Wait())
}

// StopComponent takes a component of the control plane away. It is back at the
// end of the row at the latest.
func (s *Stage) StopComponent(name component.Name) {
	must(s.Lab.StopComponent(name))
	s.Cleanup(func(ctx context.Context) error { return s.restore(ctx, name) })
}

// KillComponent ends a component at once, as a crash does. It is back at the end
// of the row at the latest.
func (s *Stage) KillComponent(name component.Name) {
	must(s.Lab.KillComponent(name))
	s.Cleanup(func(ctx context.Context) error { return s.restore(ctx, name) })
}

// StartComponent brings it back, and returns when it is ready.
func (s *Stage) StartComponent(name component.Name) { must(s.restore(s.ctx, name)) }

// restore brings a component back unless it is there. What has seen the API
// server go may take a minute to notice that it is back, and no row is about
// that: so the scheduler and the controller manager are new ones then, unless the
// row has taken them away itself.
func (s *Stage) restore(ctx context.Context, name component.Name) error {
	if s.Lab.Runs(name) {
		return nil
	}

	if name != component.APIServer {
		return s.Lab.StartComponent(ctx, name)
	}

	clients := slices.DeleteFunc([]component.Name{component.Scheduler, component.ControllerManager}, func(client component.Name) bool {
		return !s.Lab.Runs(client)
	})

	for _, client := range clients {
		if err := s.Lab.KillComponent(client); err != nil {
			return err
		}
	}

	if err := s.Lab.StartComponent(ctx, name); err != nil {
		return err
	}

	group, groupCtx := errgroup.WithContext(ctx)

	for _, client := range clients {
		group.Go(func() error { return s.Lab.StartComponent(groupCtx, client) })
	}

	return group.Wait()
}

// Pods returns all pods of the namespace.
func (s *Stage) Pods() []corev1.Pod {
	return must1(s.Lab.Client().CoreV1().Pods(s.Name).List(s.ctx, metav1.ListOptions{})).Items
}

// Await looks until the condition holds; what is waited for is for the error. It
// is for what cannot be watched.
func (s *Stage) Await(what string, condition func() bool) {
	err := wait.PollUntilContextCancel(s.ctx, pollInterval, true, func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		s.Fail("failed to wait until %s: %w", what, context.Cause(s.ctx))
	}
}

// Stays looks for so long whether the condition goes on to hold, and ends the row
// if it does not.
func (s *Stage) Stays(what string, during time.Duration, condition func() bool) {
	ctx, cancel := context.WithTimeout(s.ctx, during)
	defer cancel()

	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) { return !condition(), nil })
	s.Check(err != nil, "it did not stay so that %s", what)
	must(s.ctx.Err())
}

// Pass lets time pass. It is for what has to last, and not for what has to
// happen.
func (s *Stage) Pass(during time.Duration) {
	select {
	case <-time.After(during):
	case <-s.ctx.Done():
		must(context.Cause(s.ctx))
	}
}

// Audit returns the requests since the row began that are as wanted.
func (s *Stage) Audit(wanted func(lab.AuditRecord) bool) []lab.AuditRecord {
	return slices.DeleteFunc(must1(s.Lab.Audit()), func(record lab.AuditRecord) bool {
		return record.Time.Before(s.began) || !wanted(record)
	})
}

// clean does what was left to be done after the row.
func (s *Stage) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()

	var errs []error

	for _, do := range slices.Backward(s.cleanups) {
		errs = append(errs, do(ctx))
	}

	err := s.Lab.Client().CoreV1().Namespaces().Delete(ctx, s.Name, metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) {
		errs = append(errs, err)
	}

	if err = errors.Join(errs...); err != nil {
		return fmt.Errorf("failed to clean up: %w", err)
	}

	return nil
}
