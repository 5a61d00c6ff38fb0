// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/agent/platform"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// namespace is where everything runs.
	namespace = "soak"
	// roleLabel of a node has its role.
	roleLabel = "lab.test/role"
	// settleTime and settle are for how long a recovery and a reboot are looked at
	// before they count. The defaults are longer than anything here.
	settleTime = time.Second
	settle     = 2 * time.Second
	// drainTimeout ends the drains that are blocked in the middle.
	drainTimeout = 20 * time.Second
	// applicationReplicas is how many pods have a PodDisruptionBudget.
	applicationReplicas = 5
)

// stage is the cluster of a soak.
type stage struct {
	lab      *lab.Lab
	plane    *controlPlane
	replicas map[string]*replica
	proxies  map[string]*apiproxy.Proxy
}

// openStage makes the cluster ready on a lab that has just been started.
func openStage(ctx context.Context, cluster *lab.Lab, options Options) (*stage, error) {
	s := &stage{lab: cluster, plane: newControlPlane(cluster), replicas: map[string]*replica{}, proxies: map[string]*apiproxy.Proxy{}}

	ctx, cancel := context.WithTimeoutCause(ctx, show.BootLimit, fmt.Errorf("the cluster was not ready after %s", show.BootLimit))
	defer cancel()

	for _, step := range []func(context.Context, Options) error{s.applyObjects, s.addNodes, s.addReplicas} {
		if err := step(ctx, options); err != nil {
			return nil, err
		}
	}

	return s, nil
}

// applyObjects applies what is there before any node.
func (s *stage) applyObjects(ctx context.Context, options Options) error {
	if _, err := s.lab.ApplyManifests(ctx, options.Manifests); err != nil {
		return err
	}

	for i := range daemonSetCount {
		if _, err := s.lab.ApplyDaemonSet(ctx, daemonSet(i, 0)); err != nil {
			return err
		}
	}

	return s.lab.Apply(ctx,
		&v1alpha1.RebootBudget{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RebootBudgetName},
			Spec:       v1alpha1.RebootBudgetSpec{MaxUnavailable: maxUnavailable},
		},
		policy(v1alpha1.MethodAgent, Agent),
		policy(v1alpha1.MethodTalosAPI, Machined, Stock),
		lab.Deployment(namespace, application, applicationReplicas),
		lab.DisruptionBudget(namespace, application, 1),
	)
}

// daemonSet is one of those on every node, in one of its revisions. They are of
// the kinds that there are: some are critical, some in the node's network, some
// start slowly, and some overlap when they are updated.
func daemonSet(i, revision int) *appsv1.DaemonSet {
	options := []lab.DaemonSetOption{lab.Annotations(map[string]string{"lab.test/revision": fmt.Sprint(revision)})}

	switch i % 5 {
	case 0:
		options = append(options, lab.Critical(), lab.HostNetwork())
	case 1:
		options = append(options, lab.HostNetwork(), lab.InitContainer("install"))
	case 2:
		options = append(options, lab.MaxSurge())
	}

	return lab.DaemonSet(namespace, daemonSetNames()[i], options...)
}

// policy lets the nodes with the roles be rebooted in a way.
func policy(method v1alpha1.Method, roles ...Role) *v1alpha1.RebootPolicy {
	values := make([]string, len(roles))
	for i, role := range roles {
		values[i] = string(role)
	}

	return &v1alpha1.RebootPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: string(roles[0])},
		Spec: v1alpha1.RebootPolicySpec{
			NodeSelector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: roleLabel, Operator: metav1.LabelSelectorOpIn, Values: values},
			}},
			MaxUnavailable: new(intstr.FromInt32(maxUnavailable)),
			Drain:          v1alpha1.Drain{Timeout: metav1.Duration{Duration: drainTimeout}, OnBlocked: v1alpha1.GiveUp},
			Reboot:         v1alpha1.Reboot{Method: method, Timeout: metav1.Duration{Duration: time.Minute}},
			Gates:          v1alpha1.Gates{Settle: metav1.Duration{Duration: settle}},
		},
	}
}

// addNodes boots all nodes side by side, and waits until every pod is Ready.
func (s *stage) addNodes(ctx context.Context, options Options) error {
	group, adding := errgroup.WithContext(ctx)

	for name, role := range nodeRoles {
		group.Go(func() error {
			_, err := s.lab.AddNode(adding, name, nodeOptions(role, options)...)

			return err
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	for _, name := range withRebound() {
		s.proxies[name] = s.lab.Node(name).Proxy()
	}

	return s.lab.WaitReady(ctx)
}

func nodeOptions(role Role, options Options) []lab.NodeOption {
	all := []lab.NodeOption{lab.WithLabels(map[string]string{roleLabel: string(role)})}

	switch role {
	case Machined:
		all = append(all, lab.WithRebound(lab.SettleTime(settleTime), lab.ReportOnNode()), lab.WithProxy())
	case Agent:
		all = append(all, lab.WithProxy(), lab.WithAgent(lab.Agent{
			Binary: options.Rebound, Platform: platform.K3s, Args: []string{"--settle-time=" + settleTime.String()},
			Reboots: platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel},
		}))
	case Stock:
	}

	return all
}

// addReplicas starts the coordinator, each replica behind a proxy of its own.
// They follow each other within seconds.
func (s *stage) addReplicas(ctx context.Context, options Options) error {
	talosconfig := filepath.Join(s.lab.Folder(), "coordinator.talosconfig")

	if err := s.lab.WriteTalosconfig(talosconfig, role.MakeSet(role.Operator)); err != nil {
		return err
	}

	for _, name := range replicas {
		proxy, err := s.lab.Proxy()
		if err != nil {
			return err
		}

		coordinator, err := s.lab.AddCoordinator(ctx, name, lab.CoordinatorOptions{
			Binary: options.Coordinator, Proxy: proxy, Args: []string{
				"--talosconfig=" + talosconfig, "--log-format=console",
				"--lease-duration=6s", "--renew-deadline=4s", "--retry-period=1s",
			},
		})
		if err != nil {
			return err
		}

		s.proxies[name], s.replicas[name] = proxy, newReplica(coordinator)
	}

	return nil
}

// processes are those of ours, by where their metrics are.
func (s *stage) processes() []process {
	all := make([]process, 0, len(nodeRoles)+len(replicas))

	for _, name := range nodesOf(Machined) {
		all = append(all, process{name, s.lab.Node(name).MachineMetrics()})
	}

	for _, name := range nodesOf(Agent) {
		all = append(all, process{name, s.lab.Node(name).AgentMetrics()})
	}

	for _, name := range replicas {
		all = append(all, process{name, s.replicas[name].MetricsURL()})
	}

	return all
}
