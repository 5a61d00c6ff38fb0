// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
	"github.com/talos-rebound/rebound/internal/talosapi"
)

// The kubelet's shutdown periods. Those of Talos are 30 and 10 seconds; pods
// that end within a second do not need as much.
const (
	shutdownGracePeriod             = 4 * time.Second
	shutdownGracePeriodCriticalPods = 2 * time.Second
)

const (
	// downTimeout is by how much a reboot may exceed the shutdown grace period.
	downTimeout = time.Minute
	// powerOff is how long a machine is off at least. Times in the Kubernetes API
	// are whole seconds, and with less than one in between it could not be told
	// in which boot something happened.
	powerOff = time.Second
)

// Node is a machine that can be rebooted, and that reboots by itself when it is
// asked to.
type Node struct {
	lab         *Lab
	name        string
	address     netip.Addr
	config      machine.Config
	agent       *Agent
	metricsPort int
	etcd        *machine.EtcdMember // nil for a worker
	staticPods  []*corev1.Pod
	// ownKubeconfig is whether rebound has one that the kubelet does not use.
	ownKubeconfig bool
	proxied       bool
	// controllerManager is whether the node has a kube-controller-manager.
	controllerManager bool
	proxy             *apiproxy.Proxy // nil unless proxied
	// reboundKubeconfig is empty if it is the kubelet's.
	reboundKubeconfig string

	// clockOff is what SetClock was last told.
	clockOff time.Duration

	// attended ends the attendance of a machine that may reboot by itself, and
	// waits until it has ended; nil for one that was never started.
	attended func()

	// mu guards what changes when a machine reboots by itself.
	mu       sync.Mutex
	bootID   string
	boots    []Boot
	process  *component.Process
	apis     map[string]*talosapi.Local
	comeback Comeback
	failure  error
}

// NodeOption changes a node before its first boot.
type NodeOption func(*Node)

// WithRebound runs rebound on the node, with its defaults unless options say
// otherwise.
func WithRebound(opts ...ReboundOption) NodeOption {
	return func(node *Node) {
		node.config.Rebound = &machine.Rebound{}

		for _, opt := range opts {
			opt(node.config.Rebound)
		}
	}
}

// ReboundOption changes a setting of rebound on a node.
type ReboundOption func(*machine.Rebound)

// SettleTime sets how long nothing may be failed or missing before rebound
// takes the node for recovered.
func SettleTime(d time.Duration) ReboundOption {
	return func(rebound *machine.Rebound) { rebound.SettleTime = &d }
}

// RejectionCap sets how many rejected pods of one DaemonSet rebound deletes in
// one boot.
func RejectionCap(limit int) ReboundOption {
	return func(rebound *machine.Rebound) { rebound.RejectionCap = &limit }
}

// ReportOnNode makes rebound say on the Node object how the recovery stands.
func ReportOnNode() ReboundOption {
	return func(rebound *machine.Rebound) { rebound.ReportsOnNode = true }
}

// WithLabels sets labels of the Node object.
func WithLabels(labels map[string]string) NodeOption {
	return func(node *Node) { node.config.Labels = labels }
}

// WithDeviceAfter gives the node an extended resource which it advertises from
// the start of each boot, but which cannot be allocated until the delay after
// that start has passed. Until then the kubelet rejects the pods that request
// it with UnexpectedAdmissionError.
func WithDeviceAfter(resource string, delay time.Duration) NodeOption {
	return func(node *Node) {
		if node.config.Devices == nil {
			node.config.Devices = map[string]time.Duration{}
		}

		node.config.Devices[resource] = delay
	}
}

// AddNode adds a node, boots it, and returns when it has registered.
func (lab *Lab) AddNode(ctx context.Context, name string, opts ...NodeOption) (*Node, error) {
	node := &Node{
		lab:  lab,
		name: name,
		config: machine.Config{
			Name:                            name,
			Root:                            machine.Root(lab.path(name)),
			ShutdownGracePeriod:             shutdownGracePeriod,
			ShutdownGracePeriodCriticalPods: shutdownGracePeriodCriticalPods,
		},
	}

	for _, opt := range opts {
		opt(node)
	}

	if err := node.install(); err != nil {
		return nil, fmt.Errorf("failed to install node %q: %w", name, err)
	}

	if err := lab.join(ctx, node); err != nil {
		return nil, err
	}

	if err := node.Start(ctx); err != nil {
		return nil, err
	}

	return node, node.setRole(ctx)
}

// install prepares the root folder.
func (node *Node) install() error {
	ports, err := node.lab.ports.Take(3)
	if err != nil {
		return err
	}

	node.config.KubeletPort, node.config.HealthPort, node.config.MetricsPort = ports[0], ports[1], ports[2]

	root := node.config.Root

	if err = root.Create(); err != nil {
		return err
	}

	if err = node.RotateCertificate(certificateLifetime); err != nil {
		return err
	}

	if err = node.writeKubeconfig(root.Kubeconfig(), node.lab.admin.Host); err != nil {
		return err
	}

	if err = node.installProxy(); err != nil {
		return err
	}

	if err = node.installKubeconfig(); err != nil {
		return err
	}

	if node.agent != nil {
		if err = node.agent.install(node); err != nil {
			return err
		}
	}

	if err = node.installControllerManager(); err != nil {
		return err
	}

	return node.installStaticPods()
}

// writeKubeconfig writes a kubeconfig with the kubelet's certificate.
func (node *Node) writeKubeconfig(path, server string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("failed to make folder for kubeconfig: %w", err)
	}

	// As a kubelet's, the kubeconfig refers to one file with both the certificate
	// and its key. The kubelet rotates that file and leaves the kubeconfig alone.
	certificate := node.config.Root.ClientCertificate()
	user := &clientcmdapi.AuthInfo{ClientCertificate: certificate, ClientKey: certificate}

	return node.lab.writeKubeconfig(path, server, user)
}

// Name returns the node's name.
func (node *Node) Name() string { return node.name }

// BootID returns the id of the current boot, or of the last one.
func (node *Node) BootID() string {
	node.mu.Lock()
	defer node.mu.Unlock()

	return node.bootID
}

// BusAddress returns the address of the D-Bus on which the machine is logind.
func (node *Node) BusAddress() string { return "unix:path=" + node.config.Root.BusSocket() }

// Root returns the node's root folder.
func (node *Node) Root() string { return string(node.config.Root) }

// Log returns what the node has logged in the current boot, or in the last one:
// the kubelet's log and the machine's.
func (node *Node) Log() (string, error) {
	node.mu.Lock()
	path := node.lab.log(node.logName())
	node.mu.Unlock()

	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("failed to read log of node %q: %w", node.name, err)
	}

	return string(content), nil
}

// KubeletHealthz returns the URL of the kubelet's health endpoint.
func (node *Node) KubeletHealthz() string {
	return "http://" + loopback.HostPort(node.config.HealthPort) + "/healthz"
}

// MachineMetrics returns the URL of the metrics of the machine itself, in the
// current boot: what rebound says and what the process uses, which is not the
// kubelet's. A machine without rebound has none.
func (node *Node) MachineMetrics() string {
	return "http://" + loopback.HostPort(node.config.MetricsPort) + "/metrics"
}

// KubeconfigPath returns the path of the kubelet's kubeconfig.
func (node *Node) KubeconfigPath() string { return node.config.Root.Kubeconfig() }

// Running says whether the node is up.
func (node *Node) Running() bool {
	process := node.current()

	return process != nil && process.Running()
}

// current is the process of the current boot, or of the last one; nil before the
// first.
func (node *Node) current() *component.Process {
	node.mu.Lock()
	defer node.mu.Unlock()

	return node.process
}

// Config returns the configuration of a client with the node's identity. It
// has the certificate of the moment and not the path of the file: clients that
// name the same files share their connections, with the certificate that these
// were opened with.
func (node *Node) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", node.config.Root.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("failed to load kubeconfig of node %q: %w", node.name, err)
	}

	if err = rest.LoadTLSFiles(config); err != nil {
		return nil, fmt.Errorf("failed to load certificate of node %q: %w", node.name, err)
	}

	config.CertFile, config.KeyFile = "", ""

	return config, nil
}

// RotateCertificate gives the kubelet a new client certificate in the way the
// kubelet itself does it: the kubeconfig stays as it is.
func (node *Node) RotateCertificate(lifetime time.Duration) error {
	pair, err := node.lab.authority.signClient(lifetime, NodeUserPrefix+node.name, "system:nodes")
	if err != nil {
		return err
	}

	return node.config.Root.WriteClientCertificate(time.Now(), pair.CrtPEM, pair.KeyPEM)
}

// Reboot reboots the node as Talos does: the kubelet is shut down gracefully,
// all that was in memory is lost, and the kubelet is started again. It returns
// when the node has registered again.
func (node *Node) Reboot(ctx context.Context) error {
	if err := node.Stop(ctx); err != nil {
		return err
	}

	return node.Start(ctx)
}

// HardReboot reboots the node as a power failure does. It returns when the
// node has registered again.
func (node *Node) HardReboot(ctx context.Context) error {
	if err := node.Kill(); err != nil {
		return err
	}

	return node.Start(ctx)
}

// Start boots the node and returns when it has registered with the id of this
// boot.
func (node *Node) Start(ctx context.Context) error {
	if err := node.Boot(ctx); err != nil {
		return err
	}

	if err := node.waitRegistered(ctx); err != nil {
		return fmt.Errorf("failed to wait for node %q to register: %w", node.name, err)
	}

	return nil
}

// Boot boots the node and waits for nothing, as a test must whose API server is
// away. Start is what others want.
func (node *Node) Boot(ctx context.Context) error {
	if err := node.boot(ctx); err != nil {
		return fmt.Errorf("failed to boot node %q: %w", node.name, err)
	}

	return nil
}

// BeginShutdown has logind announce a shutdown, and no more: the kubelet shuts
// down its pods, and the machine stays up. It returns before anybody has heard
// of it.
func (node *Node) BeginShutdown() error { return node.signal(machine.SignalBegin) }

// CancelShutdown has logind announce that there will be no shutdown after all.
func (node *Node) CancelShutdown() error { return node.signal(machine.SignalCancel) }

func (node *Node) signal(signal os.Signal) error {
	if err := node.current().Signal(signal); err != nil {
		return fmt.Errorf("failed to signal node %q: %w", node.name, err)
	}

	return nil
}

// Stop runs the node's reboot sequence and returns when the machine is down. It
// stays down even if it was about to reboot by itself.
func (node *Node) Stop(ctx context.Context) error {
	if err := node.endAttendance(); err != nil {
		return err
	}

	process := node.current()
	if process == nil {
		return nil
	}

	if err := process.Interrupt(); err != nil {
		return fmt.Errorf("failed to interrupt node %q: %w", node.name, err)
	}

	limit := node.config.ShutdownGracePeriod + downTimeout

	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not down after %s", limit))
	defer cancel()

	select {
	case <-process.Ended():
	case <-ctx.Done():
		return fmt.Errorf("failed to stop node %q: %w", node.name, context.Cause(ctx))
	}

	if process.Failed() && !rebooted(process) {
		return fmt.Errorf("failed to shut down node %q: %w", node.name, process.Err())
	}

	return node.isDown()
}

// Kill ends the node at once, as a power failure does. A node that is down
// stays down.
func (node *Node) Kill() error {
	err := node.endAttendance()

	if process := node.current(); process != nil {
		err = errors.Join(err, process.Kill(), node.isDown())
	}

	if err != nil {
		return fmt.Errorf("failed to kill node %q: %w", node.name, err)
	}

	return nil
}

func (node *Node) boot(ctx context.Context) error {
	if node.Running() {
		return errors.New("the node is running")
	}

	if err := node.endAttendance(); err != nil {
		return err
	}

	if err := node.turnOn(ctx, powerOff, uuid.NewString()); err != nil {
		return err
	}

	// The caller's context may be for the start alone.
	node.attend(context.WithoutCancel(ctx))

	return nil
}

// turnOn starts the machine when it was off for long enough.
func (node *Node) turnOn(ctx context.Context, off time.Duration, bootID string) error {
	select {
	case <-time.After(time.Until(node.lastBoot().Down.Add(off))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}

	node.mu.Lock()
	defer node.mu.Unlock()

	node.bootID = bootID
	node.boots = append(node.boots, Boot{ID: bootID, Up: time.Now()})

	config := node.config
	config.BootID = bootID
	config.Log = node.lab.log(node.logName())

	path := node.lab.path(node.logName() + ".json")

	if err := config.Write(path); err != nil {
		return err
	}

	var err error

	node.process, err = component.Start(component.Node, node.lab.folder, config.Log, path)

	return err
}

// isDown notes that the machine is, once.
func (node *Node) isDown() error {
	node.mu.Lock()
	defer node.mu.Unlock()

	if last := len(node.boots) - 1; last >= 0 && node.boots[last].Down.IsZero() {
		node.boots[last].Down = time.Now()
	}

	return node.disconnect()
}

// logName must be called with mu held.
func (node *Node) logName() string { return fmt.Sprintf("%s-boot-%d", node.name, len(node.boots)) }

func (node *Node) waitRegistered(ctx context.Context) error {
	ctx, cancel := node.whileRunning(ctx)
	defer cancel()

	return waitFor(ctx, node.lab, "nodes", "", fields.OneTermEqualSelector("metadata.name", node.name), &corev1.Node{},
		func(object *corev1.Node, _ bool) bool { return object.Status.NodeInfo.BootID == node.BootID() })
}

// whileRunning returns a context that ends when the node does; its cause then
// carries the end of the node's log.
func (node *Node) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	current := node.current()

	go func() {
		select {
		case <-current.Ended():
			cancel(fmt.Errorf("node went down: %w", current.Err()))
		case <-ctx.Done():
		}
	}()

	return ctx, func() { cancel(context.Canceled) }
}
