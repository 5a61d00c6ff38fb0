// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// recorder keeps what the Nodes say, and why they wait. It is the witness of
// a run: it has nothing from whoever coordinates the reboots but the reasons.
type recorder struct {
	mu           sync.Mutex
	observations []Observation
	waits        []Wait
	changed      chan struct{}
	narrator     narrator
}

// narrator is told what is recorded, in its order. It must not block.
type narrator interface {
	// observed is given what a node said, and that before; which is zero at first.
	observed(next, last Observation)
	waits(wait Wait)
}

// record watches the Nodes until ctx is done. The function returned waits until
// the end.
func record(ctx context.Context, client kubernetes.Interface, narrator narrator) (*recorder, func(), error) {
	r := &recorder{changed: make(chan struct{}), narrator: narrator}
	factory := informers.NewSharedInformerFactory(client, 0)

	nodes := factory.Core().V1().Nodes().Informer()

	handler, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    r.observe,
		UpdateFunc: func(_, object any) { r.observe(object) },
	})
	if err != nil {
		return nil, nil, fmt.Errorf("failed to watch nodes: %w", err)
	}

	factory.Start(ctx.Done())

	if !cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		factory.Shutdown()

		return nil, nil, fmt.Errorf("failed to watch nodes: %w", context.Cause(ctx))
	}

	return r, factory.Shutdown, nil
}

func (r *recorder) observe(object any) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return
	}

	next := Observation{
		At: time.Now(), Node: node.Name, BootID: node.Status.NodeInfo.BootID, Cordoned: node.Spec.Unschedulable,
		Ready: slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}),
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	last, _ := latest(r.observations, node.Name)
	if same := last; same.Node != "" {
		same.At = next.At
		if same == next {
			return
		}
	}

	r.observations = append(r.observations, next)
	r.announce()
	r.narrator.observed(next, last)
}

// waitsFor keeps why a node waits.
func (r *recorder) waitsFor(node, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	wait := Wait{At: time.Now(), Node: node, Reason: reason, Message: message}

	for _, last := range slices.Backward(r.waits) {
		if last.Node == node {
			if last.String() == wait.String() {
				return
			}

			break
		}
	}

	r.waits = append(r.waits, wait)
	r.announce()
	r.narrator.waits(wait)
}

// announce wakes those who await something. The lock is held.
func (r *recorder) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// seen returns what was recorded until now.
func (r *recorder) seen() ([]Observation, []Wait) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.observations), slices.Clone(r.waits)
}

// await waits until what has been observed fulfils the condition. The error is
// the cause of the end of ctx.
func (r *recorder) await(ctx context.Context, condition func([]Observation) bool) error {
	for {
		r.mu.Lock()
		changed, done := r.changed, condition(r.observations)
		r.mu.Unlock()

		if done {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// latest is the last observation of a node.
func latest(observations []Observation, node string) (Observation, bool) {
	for _, o := range slices.Backward(observations) {
		if o.Node == node {
			return o, true
		}
	}

	return Observation{}, false
}
