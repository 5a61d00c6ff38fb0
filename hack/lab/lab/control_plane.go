// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/hack/lab/internal/pki"
)

// The identities of the control plane, as every cluster has them.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	adminUser             = "admin"
	adminGroup            = "system:masters"
)

func (lab *Lab) startControlPlane(ctx context.Context) error {
	if err := lab.writeCredentials(); err != nil {
		return err
	}

	for _, start := range []func(context.Context) error{lab.startEtcd, lab.startAPIServer} {
		if err := start(ctx); err != nil {
			return err
		}
	}

	clients, clientsCtx := errgroup.WithContext(ctx)
	clients.Go(func() error { return lab.startControllerManager(clientsCtx) })
	clients.Go(func() error { return lab.startScheduler(clientsCtx) })

	if err := clients.Wait(); err != nil {
		return err
	}

	return lab.waitNamespace(ctx, "default")
}

// StopAPIServer stops the API server. The rest of the control plane keeps
// running and waits for it.
func (lab *Lab) StopAPIServer() error { return lab.apiServer.stop() }

// StartAPIServer starts the API server again and waits until it is ready.
func (lab *Lab) StartAPIServer(ctx context.Context) error { return lab.apiServer.start(ctx) }

// StopControllerManager stops the controller manager, and with it the
// DaemonSet controller with its back-off.
func (lab *Lab) StopControllerManager() error { return lab.controllerManager.stop() }

// StartControllerManager starts the controller manager again and waits until
// it is ready.
func (lab *Lab) StartControllerManager(ctx context.Context) error {
	return lab.controllerManager.start(ctx)
}

// StopScheduler stops the scheduler, without which no pod gets a node.
func (lab *Lab) StopScheduler() error { return lab.scheduler.stop() }

// StartScheduler starts the scheduler again and waits until it is ready. One
// that keeps running while the API server is away may take a minute to notice
// that it is back; a new one does not.
func (lab *Lab) StartScheduler(ctx context.Context) error { return lab.scheduler.start(ctx) }

// writeCredentials makes the certificate authority and what can be signed
// before a port is known.
func (lab *Lab) writeCredentials() error {
	var err error

	if lab.authority, err = pki.NewAuthority("rebound-lab"); err != nil {
		return err
	}

	serving, err := lab.authority.Server("rebound-lab", net.ParseIP(loopback.Address))
	if err != nil {
		return err
	}

	key, err := pki.NewKey()
	if err != nil {
		return err
	}

	serviceAccountKey, err := pki.EncodeKey(key)
	if err != nil {
		return err
	}

	for name, content := range map[string][]byte{
		"ca.crt":              lab.authority.CertificatePEM(),
		"serving.crt":         serving.Certificate,
		"serving.key":         serving.Key,
		"service-account.key": serviceAccountKey,
		"audit-policy.yaml":   []byte(auditPolicy),
	} {
		if err = os.WriteFile(lab.path(name), content, 0o600); err != nil {
			return fmt.Errorf("failed to write %q: %w", name, err)
		}
	}

	return nil
}

func (lab *Lab) startEtcd(ctx context.Context) error {
	client, err := lab.port()
	if err != nil {
		return err
	}

	peer, err := lab.port()
	if err != nil {
		return err
	}

	clientURL := "http://" + loopback.HostPort(client)
	peerURL := "http://" + loopback.HostPort(peer)

	lab.etcd = &child{
		lab:  lab,
		name: component.Etcd,
		args: []string{
			"--name=lab",
			"--data-dir=" + lab.path("etcd"),
			"--listen-client-urls=" + clientURL,
			"--advertise-client-urls=" + clientURL,
			"--listen-peer-urls=" + peerURL,
			"--initial-advertise-peer-urls=" + peerURL,
			"--initial-cluster=lab=" + peerURL,
			// What is lost in a crash of the machine is lost with the lab.
			"--unsafe-no-fsync",
		},
		health: clientURL + "/health",
	}

	return lab.etcd.start(ctx)
}

func (lab *Lab) startAPIServer(ctx context.Context) error {
	port, err := lab.port()
	if err != nil {
		return err
	}

	server := "https://" + loopback.HostPort(port)

	for name, identity := range map[string][]string{
		"admin":              {adminUser, adminGroup},
		"controller-manager": {controllerManagerUser},
		"scheduler":          {schedulerUser},
	} {
		if err = lab.writeKubeconfig(lab.path(name+".kubeconfig"), server, identity[0], identity[1:]...); err != nil {
			return err
		}
	}

	if lab.admin, err = clientcmd.BuildConfigFromFlags("", lab.Kubeconfig()); err != nil {
		return fmt.Errorf("failed to load kubeconfig: %w", err)
	}

	// A test must not wait for itself.
	lab.admin.QPS = -1
	lab.admin.UserAgent = "lab"

	if lab.client, err = kubernetes.NewForConfig(lab.admin); err != nil {
		return fmt.Errorf("failed to create client: %w", err)
	}

	lab.apiServer = &child{
		lab:  lab,
		name: component.APIServer,
		args: append(lab.servingFlags(port),
			"--etcd-servers="+lab.etcd.health[:len(lab.etcd.health)-len("/health")],
			"--advertise-address="+loopback.Address,
			// The address of the service "kubernetes" must not be a loopback address.
			"--endpoint-reconciler-type=none",
			"--client-ca-file="+lab.path("ca.crt"),
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
		),
		health: server + "/readyz",
		tls:    lab.clientTLS(),
	}

	return lab.apiServer.start(ctx)
}

func (lab *Lab) startControllerManager(ctx context.Context) error {
	port, err := lab.port()
	if err != nil {
		return err
	}

	lab.controllerManager = &child{
		lab:  lab,
		name: component.ControllerManager,
		args: append(lab.servingFlags(port),
			"--kubeconfig="+lab.path("controller-manager.kubeconfig"),
			"--leader-elect=false",
			// The start is a get and a token for each controller, and takes four
			// seconds with the default of 20 requests in a second.
			"--kube-api-qps=200",
			"--kube-api-burst=400",
			// Each controller then has a name of its own in the audit log.
			"--use-service-account-credentials=true",
			"--service-account-private-key-file="+lab.path("service-account.key"),
			"--root-ca-file="+lab.path("ca.crt"),
		),
		health: "https://" + loopback.HostPort(port) + "/healthz",
		tls:    lab.clientTLS(),
	}

	return lab.controllerManager.start(ctx)
}

func (lab *Lab) startScheduler(ctx context.Context) error {
	port, err := lab.port()
	if err != nil {
		return err
	}

	config := fmt.Sprintf(schedulerConfig, strconv.Quote(lab.path("scheduler.kubeconfig")))

	if err = os.WriteFile(lab.path("scheduler.yaml"), []byte(config), 0o600); err != nil {
		return fmt.Errorf("failed to write scheduler configuration: %w", err)
	}

	lab.scheduler = &child{
		lab:  lab,
		name: component.Scheduler,
		args: append(lab.servingFlags(port),
			"--config="+lab.path("scheduler.yaml"),
		),
		health: "https://" + loopback.HostPort(port) + "/readyz",
		tls:    lab.clientTLS(),
	}

	return lab.scheduler.start(ctx)
}

// The scheduler does not sync its caches without leader election unless it is
// told so in a file.
const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %s
leaderElection:
  leaderElect: false
`

// servingFlags are the flags that the Kubernetes components have in common.
func (lab *Lab) servingFlags(port int) []string {
	return []string{
		"--bind-address=" + loopback.Address,
		"--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + lab.path("certificates"),
		"--tls-cert-file=" + lab.path("serving.crt"),
		"--tls-private-key-file=" + lab.path("serving.key"),
		"--profiling=false",
		"--v=2",
	}
}

// clientTLS trusts the lab's authority alone, and shows no certificate: health
// is for everyone to ask.
func (lab *Lab) clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(lab.authority.CertificatePEM())

	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func (lab *Lab) writeKubeconfig(path, server, user string, groups ...string) error {
	pair, err := lab.authority.Client(pki.Lifetime, user, groups...)
	if err != nil {
		return err
	}

	return lab.authority.WriteKubeconfig(path, server, pair)
}
