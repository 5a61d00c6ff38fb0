// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// reasonNext is that of a NodeReboot which waits for nothing any more.
	reasonNext = "Next"
	// policyName is that of the one RebootPolicy. It has the defaults.
	policyName = "all"
	// startLimit bounds the time until a coordinator leads and every agent is there,
	// leaderInterval is how often the coordinators are asked.
	startLimit     = time.Minute
	leaderInterval = 100 * time.Millisecond
)

// replicas are the coordinator's, as its Deployment has them.
var replicas = []string{"rebound-coordinator-a", "rebound-coordinator-b"}

// reboundSystem is rebound: an agent on each node, and the coordinator.
type reboundSystem struct {
	// agent and coordinator are the binaries, manifests the folder of the
	// coordinator's manifests.
	agent, coordinator, manifests string

	cluster      *lab.Lab
	coordinators []*lab.Coordinator
	cancel       context.CancelFunc
	watches      sync.WaitGroup
}

func (s *reboundSystem) nodeOptions() []lab.NodeOption {
	return []lab.NodeOption{lab.WithAgent(lab.Agent{
		Binary: s.agent, Platform: platform.K3s,
		Reboots: platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel},
	})}
}

func (s *reboundSystem) start(ctx context.Context, cluster *lab.Lab, notes *recorder) error {
	s.cluster = cluster

	if _, err := cluster.ApplyManifests(ctx, s.manifests); err != nil {
		return err
	}

	// What is not said is left to the API server's defaults.
	policy := &unstructured.Unstructured{}
	policy.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RebootPolicy"))
	policy.SetName(policyName)

	if err := cluster.Apply(ctx, policy); err != nil {
		return err
	}

	s.note(ctx, notes)

	for _, name := range replicas {
		coordinator, err := cluster.AddCoordinator(ctx, name, lab.CoordinatorOptions{Binary: s.coordinator})
		if err != nil {
			return err
		}

		s.coordinators = append(s.coordinators, coordinator)
	}

	return nil
}

// note notes why nodes wait, as their NodeReboots say, until the system is closed.
func (s *reboundSystem) note(ctx context.Context, notes *recorder) {
	ctx, s.cancel = context.WithCancel(ctx)

	noted := func(object any) {
		if reboot, ok := object.(*v1alpha1.NodeReboot); ok {
			reason, message := "", ""
			if reboot.Status.Phase == v1alpha1.PhasePending && reboot.Status.Reason != reasonNext {
				reason, message = reboot.Status.Reason, reboot.Status.Message
			}

			notes.waitsFor(reboot.Name, reason, message)
		}
	}

	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(s.cluster.Reboots(), v1alpha1.ResourceNodeReboots, metav1.NamespaceNone, fields.Everything()),
		ObjectType:    &v1alpha1.NodeReboot{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    noted,
			UpdateFunc: func(_, object any) { noted(object) },
		},
	})

	s.watches.Go(func() { informer.RunWithContext(ctx) })
}

// awaitMoment waits until everybody is at rest: one replica leads, and every
// agent has said in the present boot that it is there.
func (s *reboundSystem) awaitMoment(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not all of rebound was there within %s", startLimit))
	defer cancel()

	if err := s.awaitLeader(ctx); err != nil {
		return fmt.Errorf("failed to wait for a leader: %w", cmp.Or(context.Cause(ctx), err))
	}

	if err := s.awaitAgents(ctx); err != nil {
		return fmt.Errorf("failed to wait for the agents: %w", cmp.Or(context.Cause(ctx), err))
	}

	return nil
}

func (*reboundSystem) moment() string { return "a coordinator leads and every agent is there" }

func (s *reboundSystem) awaitLeader(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, leaderInterval, true, func(ctx context.Context) (bool, error) {
		for _, coordinator := range s.coordinators {
			if leads, err := coordinator.Leads(ctx); leads || err != nil {
				return leads, err
			}
		}

		return false, nil
	})
}

func (s *reboundSystem) awaitAgents(ctx context.Context) error {
	source := cache.NewListWatchFromClient(s.cluster.Client().CoreV1().RESTClient(), "nodes", metav1.NamespaceNone, fields.Everything())
	there := map[string]struct{}{}

	_, err := watchtools.UntilWithSync(ctx, source, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		if node, ok := event.Object.(*corev1.Node); ok {
			report, err := v1alpha1.ParseAgentReport(node.Annotations[v1alpha1.AgentAnnotation])
			if err == nil && report.BootID == node.Status.NodeInfo.BootID {
				there[node.Name] = struct{}{}
			}
		}

		return len(there) == len(nodeNames), nil
	})

	return err
}

func (*reboundSystem) user() string { return lab.CoordinatorAccount.User() }

// booted has nothing to do: the kubelet has the agent as a static pod.
func (*reboundSystem) booted(*lab.Node) error { return nil }

// close ends what is noted. The coordinators end with the lab.
func (s *reboundSystem) close() error {
	if s.cancel != nil {
		s.cancel()
	}

	s.watches.Wait()

	return nil
}
