// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// namespace is where the DaemonSets are that a node cannot do without.
	namespace = metav1.NamespaceSystem

	// settleLimit bounds the time in which all back-offs get long.
	settleLimit = 30 * time.Minute
	// settleInterval is how often that is looked at.
	settleInterval = time.Second
	// raiseLimit bounds the time until the first back-off is raised.
	raiseLimit = time.Minute

	// controlPlaneRate is how many requests in a second controllers and scheduler may
	// send. With their defaults they would be what everything waits for.
	controlPlaneRate = 2000

	// errorLines is how many errors of nodes are shown.
	errorLines = 20
)

// auditPolicy keeps who asked for what, and no objects. Leases are what a cluster
// at rest consists of.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
  - RequestReceived
rules:
  - level: None
    resources:
      - group: coordination.k8s.io
        resources: [leases]
  - level: None
    nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/openapi/*", "/api*", "/version", "/metrics", "/debug/*"]
  - level: Metadata
`

// fleet is a control plane with many nodes.
type fleet struct {
	cluster    *lab.Lab
	daemonSets int
	spread     time.Duration
	// margin is how long every back-off still lasts when a wave begins.
	margin time.Duration
	say    *show.Log

	nodes    []*node
	observer *observer
	backoffs *backoffs
	raises   *raises
	audit    *lab.AuditFollower
	meter    *meter
	errors   atomic.Int64
	// up is whether the nodes are on.
	up bool

	stop func() error
}

func nodeName(i int) string { return fmt.Sprintf("node-%04d", i) }

func daemonSetName(i int) string { return fmt.Sprintf("daemon-%d", i) }

// startFleet starts a control plane with so many nodes whose kubelets reject pods.
func startFleet(ctx context.Context, nodes, daemonSets int, spread, margin time.Duration, say *show.Log) (*fleet, error) {
	cluster, err := lab.Start(ctx,
		lab.WithAuditPolicy(auditPolicy),
		lab.WithSchedulerRate(controlPlaneRate),
		lab.WithFlags(component.APIServer, "--profiling=true", "--audit-log-maxsize=1000000"),
		lab.WithFlags(component.ControllerManager,
			fmt.Sprintf("--kube-api-qps=%d", controlPlaneRate), fmt.Sprintf("--kube-api-burst=%d", 2*controlPlaneRate),
			// Nodes that are slow because this machine is busy are not taken for dead.
			"--node-monitor-grace-period=5m"),
	)
	if err != nil {
		return nil, err
	}

	f := &fleet{
		cluster: cluster, daemonSets: daemonSets, spread: spread, margin: margin, say: say,
		observer: newObserver(daemonSets), backoffs: newBackoffs(), audit: cluster.FollowAudit(), meter: &meter{},
		raises: &raises{path: filepath.Join(cluster.Folder(), "log", string(component.ControllerManager)+".log")},
	}

	ctx, cancel := context.WithCancel(ctx)

	var work sync.WaitGroup

	work.Go(func() { f.observer.run(ctx, cluster.Client().CoreV1().RESTClient()) })

	f.stop = func() error {
		f.down()
		cancel()
		work.Wait()

		return cluster.Close()
	}

	if err = f.populate(ctx, nodes); err != nil {
		return nil, errors.Join(err, f.stop())
	}

	return f, nil
}

func (f *fleet) populate(ctx context.Context, nodes int) error {
	for i := range f.daemonSets {
		if _, err := f.cluster.ApplyDaemonSet(ctx, lab.DaemonSet(namespace, daemonSetName(i), lab.HostNetwork())); err != nil {
			return err
		}
	}

	folder := f.cluster.Folder() + "/nodes"
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("failed to create folder of nodes: %w", err)
	}

	for i := range nodes {
		n, err := newNode(f.cluster, nodeName(i), folder, f.daemonSets, f.meter, f.complain)
		if err != nil {
			return err
		}

		if err = n.boot(ctx, true); err != nil {
			return err
		}

		f.nodes = append(f.nodes, n)
	}

	return nil
}

// complain shows the first errors of nodes.
func (f *fleet) complain(what string, err error) {
	if f.errors.Add(1) <= errorLines {
		f.say.Say("%s: %v", what, err)
	}
}

// down switches all nodes off.
func (f *fleet) down() {
	var group errgroup.Group

	for _, n := range f.nodes {
		group.Go(func() error {
			n.down()

			return nil
		})
	}

	group.Wait() //nolint:errcheck // there are none
}

// shutDown has all nodes shut down, and reject pods until the DaemonSet controller
// leaves all of them alone for a while. Then they are off.
func (f *fleet) shutDown(ctx context.Context) error {
	for _, n := range f.nodes {
		n.kubelet.shutDown()
	}

	if err := f.settle(ctx); err != nil {
		return err
	}

	f.down()

	return nil
}

// settle waits until every pod is Failed, and the DaemonSet controller in a
// back-off for each of them that lasts longer than the margin.
func (f *fleet) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleLimit, errors.New("the back-offs did not get long enough"))
	defer cancel()

	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()

	began := time.Now()

	for {
		if err := f.enterRaises(); err != nil {
			return err
		}

		if f.heldBack() {
			return nil
		}

		if f.raises.found == 0 && time.Since(began) > raiseLimit {
			return errors.New("kube-controller-manager has not logged a back-off that it raised: the line may have changed, see raises.go")
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("failed to prepare %d nodes: %w", len(f.nodes), context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// enterRaises enters what the DaemonSet controller has done to its back-offs.
func (f *fleet) enterRaises() error {
	found, err := f.raises.next()
	if err != nil {
		return err
	}

	for _, one := range found {
		f.backoffs.raise(one)
	}

	return nil
}

func (f *fleet) heldBack() bool {
	failed := f.observer.failedPods()
	if len(failed) < len(f.nodes)*f.daemonSets {
		return false
	}

	until := time.Now().Add(f.margin)

	for at := range failed {
		if !f.backoffs.holds(at, until) {
			return false
		}
	}

	return true
}

// leastBackoff is the shortest back-off of all.
func (f *fleet) leastBackoff() time.Duration {
	least := backoffLimit

	for at := range f.observer.failedPods() {
		least = min(least, f.backoffs.of(at))
	}

	return least
}

// offsets are when the nodes are healthy within the spread. They are the same in
// every wave.
func (f *fleet) offsets() []time.Duration {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same each time is what it is for
	offsets := make([]time.Duration, len(f.nodes))

	for i := range offsets {
		offsets[i] = time.Duration(random.Int64N(int64(f.spread)))
	}

	return offsets
}
