// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// The scheduler does not sync its caches without leader election unless it is
// told so in a file.
const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %q
  qps: %d
  burst: %d
leaderElection:
  leaderElect: false
`

func (lab *Lab) startControlPlane(ctx context.Context) error {
	ports, err := lab.ports.Take(5)
	if err != nil {
		return err
	}

	server := "https://" + loopback.HostPort(ports[2])

	if err = lab.writeCredentials(server); err != nil {
		return err
	}

	if err = lab.connect(); err != nil {
		return err
	}

	lab.children = lab.newChildren(ports, server)

	if err = lab.startComponents(ctx); err != nil {
		return err
	}

	return lab.waitNamespace(ctx, "default")
}

// startComponents starts those of the control plane that do not run.
func (lab *Lab) startComponents(ctx context.Context) error {
	for _, name := range []component.Name{component.Etcd, component.APIServer} {
		if err := lab.StartComponent(ctx, name); err != nil {
			return err
		}
	}

	clients, clientsCtx := errgroup.WithContext(ctx)

	for _, name := range []component.Name{component.ControllerManager, component.Scheduler} {
		clients.Go(func() error { return lab.StartComponent(clientsCtx, name) })
	}

	return clients.Wait()
}

// connect makes the client that may do everything.
func (lab *Lab) connect() error {
	var err error

	if lab.admin, err = clientcmd.BuildConfigFromFlags("", lab.Kubeconfig()); err != nil {
		return fmt.Errorf("failed to load kubeconfig: %w", err)
	}

	// A test must not wait for itself.
	lab.admin.QPS = -1
	lab.admin.UserAgent = "lab"

	if lab.client, err = kubernetes.NewForConfig(lab.admin); err != nil {
		return fmt.Errorf("failed to create client: %w", err)
	}

	if lab.dynamic, err = dynamic.NewForConfig(lab.admin); err != nil {
		return fmt.Errorf("failed to create dynamic client: %w", err)
	}

	lab.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(lab.client.Discovery()))

	return lab.connectReboots()
}

// StopComponent stops a component of the control plane; the others keep running
// and wait for it. The controller manager takes the DaemonSet controller with
// its back-off along.
func (lab *Lab) StopComponent(name component.Name) error { return lab.children[name].stop() }

// Runs says whether a component of the control plane is there.
func (lab *Lab) Runs(name component.Name) bool {
	child := lab.children[name]

	return child != nil && child.process != nil && child.process.Running()
}

// KillComponent ends a component of the control plane at once, as a crash does.
func (lab *Lab) KillComponent(name component.Name) error { return lab.children[name].kill() }

// StartComponent starts a component of the control plane again and waits until
// it is ready. A scheduler that keeps running while the API server is away may
// take a minute to notice that it is back; a new one does not.
func (lab *Lab) StartComponent(ctx context.Context, name component.Name) error {
	return lab.children[name].start(ctx)
}

// newChildren returns the components, which are yet to be started. The ports are
// etcd's two, and one for each of the others.
func (lab *Lab) newChildren(ports []int, server string) map[component.Name]*child {
	etcd, peer := "http://"+loopback.HostPort(ports[0]), "http://"+loopback.HostPort(ports[1])

	lab.etcd = etcd

	// Health is for everyone to ask: no certificate is shown.
	trust := &tls.Config{RootCAs: lab.roots(), MinVersion: tls.VersionTLS12}

	children := map[component.Name]*child{
		component.Etcd: {health: etcd + "/health", args: []string{
			"--name=lab",
			"--data-dir=" + lab.path("etcd"),
			"--listen-client-urls=" + etcd,
			"--advertise-client-urls=" + etcd,
			"--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=lab=" + peer,
			// What is lost in a crash of the machine is lost with the lab.
			"--unsafe-no-fsync",
		}},
		component.APIServer: {health: server + "/readyz", args: append(lab.servingFlags(ports[2]),
			"--etcd-servers="+etcd,
			"--advertise-address="+loopback.Address,
			// The address of the service "kubernetes" must not be a loopback address.
			"--endpoint-reconciler-type=none",
			"--client-ca-file="+lab.path("ca.crt"),
			"--requestheader-client-ca-file="+lab.path("front-proxy-ca.crt"),
			"--requestheader-allowed-names="+frontProxy,
			"--requestheader-username-headers="+apiproxy.UserHeader,
			"--requestheader-group-headers="+apiproxy.GroupHeader,
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--service-cluster-ip-range=10.96.0.0/16",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file="+lab.path("service-account.key"),
			"--service-account-signing-key-file="+lab.path("service-account.key"),
			"--audit-policy-file="+lab.path("audit-policy.yaml"),
			"--audit-log-path="+lab.auditLog(),
			"--audit-log-maxsize=1024",
		)},
		component.ControllerManager: {health: "https://" + loopback.HostPort(ports[3]) + "/healthz", args: lab.controllerManagerFlags(ports[3], "--leader-elect=false")},
		component.Scheduler: {health: "https://" + loopback.HostPort(ports[4]) + "/readyz", args: append(lab.servingFlags(ports[4]),
			"--config="+lab.path("scheduler.yaml"),
		)},
	}

	for name, child := range children {
		child.lab, child.name, child.tls = lab, name, trust
		child.args = append(child.args, lab.flags[name]...)
	}

	return children
}

// controllerManagerFlags are those of a kube-controller-manager.
func (lab *Lab) controllerManagerFlags(port int, more ...string) []string {
	return append(append(lab.servingFlags(port),
		"--kubeconfig="+lab.path("controller-manager.kubeconfig"),
		// The start is a get and a token for each controller, and takes four
		// seconds with the default of 20 requests in a second.
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		// Each controller then has a name of its own in the audit log.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+lab.path("service-account.key"),
		"--root-ca-file="+lab.path("ca.crt"),
	), more...)
}

// roots trusts the lab's authority.
func (lab *Lab) roots() *x509.CertPool { return lab.authority.pool() }

// servingFlags are the flags that the Kubernetes components have in common.
func (lab *Lab) servingFlags(port int) []string {
	return []string{
		"--bind-address=" + loopback.Address,
		"--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + lab.path("certificates"),
		"--tls-cert-file=" + lab.path("serving.crt"),
		"--tls-private-key-file=" + lab.path("serving.key"),
		"--profiling=false",
		// internal/scale reads in the log what is said at this level.
		"--v=2",
	}
}
