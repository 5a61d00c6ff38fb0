// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"fmt"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/kubeconfig"
)

const (
	// UserAgent is how the requests can be told from others in an audit log.
	UserAgent = "rebound-backoff"

	// requestTimeout is how long the API server may take for one request. The API server gives a delete 34 s at the most.
	requestTimeout = 40 * time.Second
)

// Client is a connection to the API server. Its methods may be called concurrently.
type Client struct {
	http   *http.Client
	core   corev1client.CoreV1Interface
	apps   appsv1client.AppsV1Interface
	leases coordinationv1client.CoordinationV1Interface
}

// Open makes a client of a context in a kubeconfig; see kubeconfig.Load. Nothing is sent yet, so an error is one of the file.
// The caller has to close it.
func Open(path, context string) (*Client, error) {
	config, err := kubeconfig.Load(path, context)
	if err != nil {
		return nil, err
	}

	config.UserAgent = UserAgent
	config.WarningHandler = rest.NoWarnings{}
	config.QPS = -1 // a few nodes are looked at at a time

	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	apps, err := appsv1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	leases, err := coordinationv1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	return &Client{http: client, core: core, apps: apps, leases: leases}, nil
}

// Close ends the connections.
func (c *Client) Close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// requestError is why a request failed. Its text can be printed as it is.
type requestError struct {
	doing string
	cause error
}

func (err requestError) Error() string { return err.doing + ": " + kube.Describe(err.cause) }

func (err requestError) Unwrap() error { return err.cause }

// request sends one request, within its time.
func request[T any](ctx context.Context, doing string, send func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()

	result, err := send(limited)

	switch {
	case err == nil:
		return result, nil
	case limited.Err() != nil:
		return result, requestError{doing, context.Cause(limited)}
	default:
		return result, requestError{doing, err}
	}
}
