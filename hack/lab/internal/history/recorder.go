// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// generationLabel is the label of a pod that says from which generation of its
// DaemonSet's template it was made.
const generationLabel = "pod-template-generation"

// recorder keeps what happens to one node and in one namespace.
type recorder struct {
	cluster         *lab.Lab
	namespace, node string

	cancel  context.CancelFunc
	watches sync.WaitGroup

	mu     sync.Mutex
	began  time.Time
	events []Event
	failed error
	// ids are the short names of UIDs and boot ids, uids the UIDs of pods by name.
	ids  map[string]string
	made map[string]int
	uids map[string]string
	// last has what was kept last of an object, to drop what says nothing new.
	last map[string]string
}

// record begins to watch. Neither the node nor the namespace need exist yet.
func record(ctx context.Context, cluster *lab.Lab, namespace, node string) (*recorder, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &recorder{
		cluster: cluster, namespace: namespace, node: node, cancel: cancel, began: time.Now(),
		ids: map[string]string{}, made: map[string]int{}, uids: map[string]string{}, last: map[string]string{},
	}

	client := cluster.Client()
	self := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", node).String()}

	for _, open := range []func() (watch.Interface, error){
		func() (watch.Interface, error) {
			return client.AppsV1().DaemonSets(namespace).Watch(ctx, metav1.ListOptions{})
		},
		func() (watch.Interface, error) {
			return client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
		},
		func() (watch.Interface, error) { return client.CoreV1().Nodes().Watch(ctx, self) },
	} {
		changes, err := open()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("failed to watch: %w", err), r.stop())
		}

		r.watches.Go(func() { r.follow(ctx, changes) })
	}

	return r, nil
}

// stop ends the watches. The error is why there may be a gap in what they saw.
func (r *recorder) stop() error {
	r.cancel()
	r.watches.Wait()

	return r.failed
}

// follow keeps what a watch tells. One that ends too early would leave a gap, so
// it is not opened again.
func (r *recorder) follow(ctx context.Context, changes watch.Interface) {
	defer changes.Stop()

	for change := range changes.ResultChan() {
		if change.Type == watch.Error {
			break
		}

		r.see(change)
	}

	if ctx.Err() == nil {
		r.mu.Lock()
		defer r.mu.Unlock()

		r.failed = errors.New("a watch ended before the story")
	}
}

// did keeps what happened to the machine at a time.
func (r *recorder) did(at time.Time, step Step) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.events = append(r.events, Event{At: r.since(at), Machine: step})
}

// see keeps what was seen of an object, if it says something new.
func (r *recorder) see(change watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()

	event := Event{At: r.since(time.Now())}
	kind := strings.ToLower(string(change.Type))

	switch object := change.Object.(type) {
	case *appsv1.DaemonSet:
		event.Version = object.ResourceVersion
		event.DaemonSet = &DaemonSet{
			Change: kind, ID: r.id("d", string(object.UID)), Name: object.Name,
			Generation: object.Generation, Observed: object.Status.ObservedGeneration,
		}
	case *corev1.Node:
		event.Version = object.ResourceVersion
		event.Node = &Node{Change: kind, Boot: r.number("b", object.Status.NodeInfo.BootID), Ready: lab.IsNodeReady(object)}
	case *corev1.Pod:
		if object.Spec.NodeName != r.node {
			return
		}

		event.Version = object.ResourceVersion
		event.Pod = r.pod(kind, object)
	default:
		return
	}

	if r.isNew(event) {
		r.events = append(r.events, event)
	}
}

// isNew tells whether an object was seen to be another one than before.
func (r *recorder) isNew(event Event) bool {
	key := "node"

	switch {
	case event.Pod != nil:
		key = event.Pod.ID
	case event.DaemonSet != nil:
		key = event.DaemonSet.ID
	}

	said, err := json.Marshal([]any{event.Pod, event.DaemonSet, event.Node})
	if err != nil {
		return true // it has nothing that cannot be written
	}

	news := strings.ReplaceAll(string(said), Added, Modified) // a pod is bound after it was added
	defer func() { r.last[key] = news }()

	return r.last[key] != news
}

func (r *recorder) pod(change string, object *corev1.Pod) *Pod {
	id := r.id("p", string(object.UID))
	r.uids[object.Name] = string(object.UID)

	pod := &Pod{
		Change: change, ID: id, Phase: string(object.Status.Phase), Reason: object.Status.Reason,
		Ready: lab.IsPodReady(object), Deleting: object.DeletionTimestamp != nil,
	}

	if owner := metav1.GetControllerOf(object); owner != nil {
		pod.DaemonSet = r.id("d", string(owner.UID))
	}

	for _, container := range object.Status.ContainerStatuses {
		pod.Restarts += container.RestartCount
	}

	// The DaemonSet controller gives every pod this label.
	pod.Template, _ = strconv.ParseInt(object.Labels[generationLabel], 10, 64)

	if started := object.Status.StartTime; started != nil {
		at := r.since(started.Time)
		pod.Started = &at
	}

	return pod
}

// finish ends the record, and returns it with what the audit log has on the
// pods.
func (r *recorder) finish() ([]Event, error) {
	if err := r.stop(); err != nil {
		return nil, err
	}

	records, err := r.cluster.Audit()
	if err != nil {
		return nil, err
	}

	for _, record := range records {
		if record.Namespace != r.namespace || record.Verb != "delete" || record.Resource != "pods" || record.Subresource != "" {
			continue
		}

		uid := r.uids[record.Name]
		if record.Pod != nil {
			uid = string(record.Pod.UID)
		}

		r.events = append(r.events, Event{At: r.since(record.Time), Request: &Request{
			By: r.who(record), Pod: r.id("p", uid), Code: record.Code,
		}})
	}

	slices.SortStableFunc(r.events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })

	return r.events, nil
}

func (r *recorder) who(record lab.AuditRecord) string {
	switch {
	case record.IsOfRebound(r.node):
		return "rebound"
	case record.User == lab.NodeUserPrefix+r.node:
		return "kubelet"
	case record.User == lab.DaemonSetController:
		return "daemonset-controller"
	case record.User == "system:serviceaccount:kube-system:generic-garbage-collector":
		return "garbage-collector"
	default:
		return "other"
	}
}

func (r *recorder) since(at time.Time) int64 { return at.Sub(r.began).Milliseconds() }

// id is a short name for a UID: the kind and a number.
func (r *recorder) id(kind, uid string) string {
	if _, known := r.ids[uid]; !known {
		r.made[kind]++
		r.ids[uid] = kind + strconv.Itoa(r.made[kind])
	}

	return r.ids[uid]
}

// number is that of a boot; 0 if there is none yet.
func (r *recorder) number(kind, uid string) int {
	if uid == "" {
		return 0
	}

	r.id(kind, uid)

	number, _ := strconv.Atoi(strings.TrimPrefix(r.ids[uid], kind)) // it was made of a number

	return number
}
