// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

const (
	hostIP = "127.0.0.1"

	// kubeletAgent is how the stand-ins' requests can be told in the audit log.
	kubeletAgent = "kubelet"

	// leaseSeconds and leaseInterval are the kubelet's defaults.
	leaseSeconds  = 40
	leaseInterval = 10 * time.Second

	// retryDelay is the time between two tries of what has failed. unknownDelay is the
	// same for a pod that the Node authorizer does not know yet to be the node's: it
	// learns that from a watch, as the kubelet does, and may be later.
	retryDelay   = time.Second
	unknownDelay = 20 * time.Millisecond

	// shuttingDown is what a kubelet says of its Node while it terminates its pods.
	shuttingDown = "node is shutting down"
	// noNetwork is what it says before its CNI is there.
	noNetwork = "container runtime network not ready"
)

// statement is one thing that a kubelet says of a pod.
type statement struct {
	pod  types.UID
	what string
}

// kubelet is the stand-in for one boot of one.
type kubelet struct {
	node   string
	bootID string
	client kubernetes.Interface
	// wanted is how many pods make the node Ready.
	wanted int
	log    func(string, error)

	changed chan struct{}
	store   cache.Store

	mu sync.Mutex
	// leaving is whether the kubelet is shutting down: it rejects what comes.
	leaving bool

	// told is what was said of which pod in this boot; used by one goroutine.
	told map[statement]bool
	// said is what the Node says.
	said string
	// unknown is whether a pod was not the node's yet, or not any more.
	unknown bool
}

// run lives until ctx is done.
func (k *kubelet) run(ctx context.Context) error {
	if err := k.register(ctx); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)

	var work sync.WaitGroup

	defer work.Wait()
	defer cancel()

	work.Go(func() {
		lease.NewController(clock.RealClock{}, k.client, k.node, leaseSeconds, func() {}, leaseInterval, k.node, corev1.NamespaceNodeLease,
			nil).Run(logr.NewContext(ctx, logr.Discard()))
	})

	wake := func() {
		select {
		case k.changed <- struct{}{}:
		default:
		}
	}

	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(k.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll,
			fields.OneTermEqualSelector("spec.nodeName", k.node)),
		ObjectType: &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { wake() }, UpdateFunc: func(any, any) { wake() }, DeleteFunc: func(any) { wake() },
		},
	})

	k.mu.Lock()
	k.store = store
	k.mu.Unlock()

	work.Go(func() { informer.RunWithContext(logr.NewContext(ctx, logr.Discard())) })

	// What fails is tried again: an API server with much to do is no reason to lose a pod.
	retry := time.NewTimer(retryDelay)
	defer retry.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.changed:
		case <-retry.C:
		}

		k.unknown = false
		err := k.sync(ctx)

		switch {
		case err != nil && ctx.Err() == nil:
			k.log("a kubelet could not report", err)
			retry.Reset(retryDelay)
		case k.unknown:
			retry.Reset(unknownDelay)
		}
	}
}

// shutDown makes the kubelet reject what comes, and terminate what runs.
func (k *kubelet) shutDown() {
	k.mu.Lock()
	k.leaving = true
	k.mu.Unlock()

	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *kubelet) pods() []*corev1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.store == nil {
		return nil
	}

	var pods []*corev1.Pod

	for _, object := range k.store.List() {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}

	return pods
}

// register makes the Node say that the kubelet is up, in this boot.
func (k *kubelet) register(ctx context.Context) error {
	k.mu.Lock()
	leaving := k.leaving
	k.mu.Unlock()

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node, Labels: map[string]string{corev1.LabelHostname: k.node}}}
	message := noNetwork

	if leaving {
		message = shuttingDown
	}

	node.Status = k.nodeStatus(corev1.ConditionFalse, message)

	_, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return k.say(ctx, corev1.ConditionFalse, message)
	}

	if err != nil {
		return fmt.Errorf("failed to register node %q: %w", k.node, err)
	}

	k.said = message

	return nil
}

// say writes the status of the Node if it is news, as the kubelet does: it reads it
// first.
func (k *kubelet) say(ctx context.Context, ready corev1.ConditionStatus, message string) error {
	if k.said == message {
		return nil
	}

	if _, err := k.client.CoreV1().Nodes().Get(ctx, k.node, metav1.GetOptions{ResourceVersion: "0"}); err != nil {
		return fmt.Errorf("failed to read node %q: %w", k.node, err)
	}

	patch, err := json.Marshal(map[string]any{"status": k.nodeStatus(ready, message)})
	if err != nil {
		return fmt.Errorf("failed to encode status of node %q: %w", k.node, err)
	}

	if _, err = k.client.CoreV1().Nodes().Patch(ctx, k.node, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("failed to write status of node %q: %w", k.node, err)
	}

	k.said = message

	return nil
}

func (k *kubelet) nodeStatus(ready corev1.ConditionStatus, message string) corev1.NodeStatus {
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	now := metav1.Now()

	return corev1.NodeStatus{
		Capacity: resources, Allocatable: resources,
		NodeInfo:  corev1.NodeSystemInfo{BootID: k.bootID, MachineID: k.node, KubeletVersion: "v1.36.3", OperatingSystem: "linux", Architecture: "amd64"},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hostIP}, {Type: corev1.NodeHostName, Address: k.node}},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: ready, Reason: "Kubelet", Message: message, LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
}

// sync brings what the API server has of the node's pods to what they are.
func (k *kubelet) sync(ctx context.Context) error {
	k.mu.Lock()
	leaving := k.leaving
	k.mu.Unlock()

	if leaving {
		if err := k.say(ctx, corev1.ConditionFalse, shuttingDown); err != nil {
			return err
		}
	}

	ready := 0

	for _, pod := range k.pods() {
		if err := k.syncPod(ctx, pod, leaving); err != nil && !errors.Is(err, errUnknown) {
			return err
		}

		if isReady(pod) {
			ready++
		}
	}

	if !leaving && ready >= k.wanted {
		return k.say(ctx, corev1.ConditionTrue, "kubelet is posting ready status")
	}

	return nil
}

func (k *kubelet) syncPod(ctx context.Context, pod *corev1.Pod, leaving bool) error {
	now := metav1.Now()

	switch {
	case pod.Status.Phase == corev1.PodFailed:
		return nil
	case pod.DeletionTimestamp != nil:
		return k.finish(ctx, pod)
	case leaving && pod.Status.Phase == corev1.PodRunning:
		return k.report(ctx, pod, "terminated", terminated(now, pod))
	case leaving:
		return k.report(ctx, pod, "rejected", rejected(now))
	case pod.Status.Phase == corev1.PodPending && !k.told[statement{pod.UID, "running"}]:
		if err := k.report(ctx, pod, "starting", starting(now, pod)); err != nil {
			return err
		}

		return k.report(ctx, pod, "running", running(now, pod))
	}

	return nil
}

var errUnknown = errors.New("the pod is not the node's")

// report writes a status of the pod once, as the kubelet does: it reads the pod
// first.
func (k *kubelet) report(ctx context.Context, pod *corev1.Pod, what string, status corev1.PodStatus) error {
	key := statement{pod.UID, what}
	if k.told[key] {
		return nil
	}

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("failed to encode status of pod %q: %w", pod.Name, err)
	}

	pods := k.client.CoreV1().Pods(pod.Namespace)

	if _, err = pods.Get(ctx, pod.Name, metav1.GetOptions{}); err == nil {
		_, err = pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}

	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsConflict(err):
		// It is tried again for as long as the watch has it.
		k.unknown = true

		return errUnknown
	case err != nil:
		return fmt.Errorf("failed to write status of pod %q: %w", pod.Name, err)
	}

	k.told[key] = true

	return nil
}

// finish ends a pod that was deleted while it ran.
func (k *kubelet) finish(ctx context.Context, pod *corev1.Pod) error {
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("failed to finish pod %q: %w", pod.Name, err)
	}

	return nil
}

func newKubelet(node, bootID string, client kubernetes.Interface, wanted int, log func(string, error)) *kubelet {
	return &kubelet{
		node: node, bootID: bootID, client: client, wanted: wanted, log: log,
		changed: make(chan struct{}, 1), told: map[statement]bool{},
	}
}
