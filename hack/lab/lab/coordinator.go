// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/internal/loopback"
)

// ServiceAccount is an identity in the cluster.
type ServiceAccount struct{ Namespace, Name string }

// User is the name that the API server knows it by.
func (account ServiceAccount) User() string {
	return "system:serviceaccount:" + account.Namespace + ":" + account.Name
}

// CoordinatorAccount is the one that the coordinator's manifests define.
var CoordinatorAccount = ServiceAccount{Namespace: "rebound-system", Name: "rebound-coordinator"}

// Coordinator is one replica of rebound-coordinator: the real binary as a
// process, outside the cluster, with the token of its ServiceAccount and so with
// no other rights than the manifests give it.
type Coordinator struct {
	lab        *Lab
	name       string
	binary     string
	args, env  []string
	healthPort int
	metrics    int

	process *component.Process
}

// CoordinatorOptions say how a replica runs.
type CoordinatorOptions struct {
	// Binary is the path of rebound-coordinator.
	Binary string
	// Args are further flags, Env further environment variables as "NAME=value".
	Args, Env []string
	// Proxy stands between the replica and the API server; nil for nothing.
	Proxy *apiproxy.Proxy
}

// AddCoordinator starts a replica and returns when it is ready, be it to lead or
// to take over. The name is its own in the lab. Its manifests have to be applied
// first, see ApplyManifests.
func (lab *Lab) AddCoordinator(ctx context.Context, name string, options CoordinatorOptions) (*Coordinator, error) {
	ports, err := lab.ports.Take(2)
	if err != nil {
		return nil, err
	}

	server := lab.admin.Host
	if options.Proxy != nil {
		server = options.Proxy.URL()
	}

	kubeconfig := lab.path(name + ".kubeconfig")

	if err = lab.writeTokenKubeconfig(ctx, kubeconfig, server, CoordinatorAccount); err != nil {
		return nil, err
	}

	coordinator := &Coordinator{
		lab:        lab,
		name:       name,
		binary:     options.Binary,
		env:        append(os.Environ(), options.Env...),
		healthPort: ports[0],
		metrics:    ports[1],
		args: append([]string{
			"--kubeconfig=" + kubeconfig,
			"--leader-election-namespace=" + CoordinatorAccount.Namespace,
			"--health-listen=" + loopback.HostPort(ports[0]),
			"--metrics-listen=" + loopback.HostPort(ports[1]),
		}, options.Args...),
	}

	lab.mu.Lock()
	lab.coordinators = append(lab.coordinators, coordinator)
	lab.mu.Unlock()

	return coordinator, coordinator.Start(ctx)
}

// writeTokenKubeconfig writes a kubeconfig with a token of the account.
func (lab *Lab) writeTokenKubeconfig(ctx context.Context, path, server string, account ServiceAccount) error {
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(certificateLifetime / time.Second))},
	}

	token, err := lab.client.CoreV1().ServiceAccounts(account.Namespace).CreateToken(ctx, account.Name, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("failed to create token of %q: %w", account.User(), err)
	}

	return lab.writeKubeconfig(path, server, &clientcmdapi.AuthInfo{Token: token.Status.Token})
}

// Start starts the replica, again if it has ended, and waits until it is ready.
func (coordinator *Coordinator) Start(ctx context.Context) error {
	if coordinator.Running() {
		return nil
	}

	lab := coordinator.lab

	var err error

	if coordinator.process, err = component.StartProgram(coordinator.binary, lab.folder, lab.log(coordinator.name), coordinator.env, coordinator.args...); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s was not ready within %s", coordinator.name, startTimeout))
	defer cancel()

	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Second}
	defer client.CloseIdleConnections()

	err = wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
		if !coordinator.process.Running() {
			return false, coordinator.process.Err()
		}

		return isReady(ctx, client, "http://"+loopback.HostPort(coordinator.healthPort)+"/readyz"), nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("failed to wait for %s: %w", coordinator.name, context.Cause(ctx))
	}

	return err
}

// Name returns the replica's name in the lab.
func (coordinator *Coordinator) Name() string { return coordinator.name }

// Running says whether the process is there, though it may be paused.
func (coordinator *Coordinator) Running() bool {
	return coordinator.process != nil && coordinator.process.Running()
}

// Ended is closed when the process is gone: also when it has lost its leadership
// and ended itself.
func (coordinator *Coordinator) Ended() <-chan struct{} { return coordinator.process.Ended() }

// Stop asks the replica to end, and makes it after ten seconds.
func (coordinator *Coordinator) Stop() error { return coordinator.process.Stop(10 * time.Second) }

// Kill ends the replica at once.
func (coordinator *Coordinator) Kill() error {
	if coordinator.process == nil {
		return nil
	}

	return coordinator.process.Kill()
}

// Pause stops the replica where it is, until Resume: a process that gets no CPU.
func (coordinator *Coordinator) Pause() error { return coordinator.process.Signal(syscall.SIGSTOP) }

// Resume lets a replica go on that was paused. It does not know of the pause.
func (coordinator *Coordinator) Resume() error { return coordinator.process.Signal(syscall.SIGCONT) }

// Log returns what the replica has logged since its first start.
func (coordinator *Coordinator) Log() (string, error) {
	content, err := os.ReadFile(coordinator.lab.log(coordinator.name))
	if err != nil {
		return "", fmt.Errorf("failed to read log of %q: %w", coordinator.name, err)
	}

	return string(content), nil
}

// MetricsURL is the URL of the replica's metrics.
func (coordinator *Coordinator) MetricsURL() string {
	return "http://" + loopback.HostPort(coordinator.metrics) + "/metrics"
}

// Metrics returns the values of a metric that has no labels of interest, one for
// each series, and none if there is no such metric.
func (coordinator *Coordinator) Metrics(ctx context.Context, name string) ([]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, coordinator.MetricsURL(), nil)
	if err != nil {
		return nil, fmt.Errorf("failed to ask for metrics: %w", err)
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("failed to read metrics of %q: %w", coordinator.name, err)
	}

	defer response.Body.Close() //nolint:errcheck // only read from

	parser := expfmt.NewTextParser(model.UTF8Validation)

	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("failed to parse metrics of %q: %w", coordinator.name, err)
	}

	var values []float64

	for _, metric := range families[name].GetMetric() {
		switch {
		case metric.GetGauge() != nil:
			values = append(values, metric.GetGauge().GetValue())
		case metric.GetCounter() != nil:
			values = append(values, metric.GetCounter().GetValue())
		}
	}

	return values, nil
}

// Leads says whether the replica takes itself for the leader. Two may do so for
// a moment.
func (coordinator *Coordinator) Leads(ctx context.Context) (bool, error) {
	values, err := coordinator.Metrics(ctx, "leader_election_master_status")

	return slices.Contains(values, 1), err
}

// closeCoordinators ends the replicas, and what stands between them and the API
// server. It may be called again.
func (lab *Lab) closeCoordinators() error {
	lab.mu.Lock()
	defer lab.mu.Unlock()

	errs := make([]error, 0, len(lab.coordinators)+len(lab.proxies))

	for _, coordinator := range lab.coordinators {
		errs = append(errs, coordinator.Kill())
	}

	for _, proxy := range lab.proxies {
		errs = append(errs, proxy.Close())
	}

	lab.proxies = nil

	return errors.Join(errs...)
}
