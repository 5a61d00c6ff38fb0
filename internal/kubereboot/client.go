// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/gentype"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/kubeconfig"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// UserAgent is how the requests can be told from others in an audit log.
	UserAgent = "rebound-reboot"

	// requestTimeout is how long the API server may take for one request that is no watch.
	requestTimeout = 10 * time.Second
)

// Client is a connection to the API server. Its methods may be called concurrently.
type Client struct {
	http    *http.Client
	nodes   corev1client.NodeInterface
	reboots *gentype.ClientWithList[*v1alpha1.NodeReboot, *v1alpha1.NodeRebootList]
	budgets *gentype.Client[*v1alpha1.RebootBudget]
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
	config.QPS = -1 // a command sends a few requests for each node that was named

	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	objects, codec, err := objectsClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use the kubeconfig: %w", err)
	}

	return &Client{
		http:  client,
		nodes: core.Nodes(),
		reboots: gentype.NewClientWithList(v1alpha1.ResourceNodeReboots, objects, codec, "",
			func() *v1alpha1.NodeReboot { return new(v1alpha1.NodeReboot) },
			func() *v1alpha1.NodeRebootList { return new(v1alpha1.NodeRebootList) }),
		budgets: gentype.NewClient(v1alpha1.ResourceRebootBudgets, objects, codec, "",
			func() *v1alpha1.RebootBudget { return new(v1alpha1.RebootBudget) }),
	}, nil
}

// objectsClient makes a client for the API group of the objects.
func objectsClient(config *rest.Config, client *http.Client) (rest.Interface, runtime.ParameterCodec, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // what the API server says of errors

	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}

	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()

	objects, err := rest.RESTClientForConfigAndClient(config, client)

	return objects, runtime.NewParameterCodec(scheme), err
}

// Close ends the connections.
func (c *Client) Close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// Node reads a Node; nil if there is none of that name.
func (c *Client) Node(ctx context.Context, name string) (*corev1.Node, error) {
	node, err := request(ctx, fmt.Sprintf("failed to read Node %q", name), func(ctx context.Context) (*corev1.Node, error) {
		return c.nodes.Get(ctx, name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}

	return node, err
}

// NodeNames are the names of all Nodes.
func (c *Client) NodeNames(ctx context.Context) ([]string, error) {
	list, err := request(ctx, "failed to list the Nodes", func(ctx context.Context) (*corev1.NodeList, error) {
		return c.nodes.List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return nil, err
	}

	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}

	return names, nil
}

// Budget reads the RebootBudget; nil if there is none.
func (c *Client) Budget(ctx context.Context) (*v1alpha1.RebootBudget, error) {
	budget, err := request(ctx, "failed to read the RebootBudget", func(ctx context.Context) (*v1alpha1.RebootBudget, error) {
		return c.budgets.Get(ctx, v1alpha1.RebootBudgetName, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) && !IsNotInstalled(err) {
		return nil, nil
	}

	return budget, err
}

// NodeReboots lists all NodeReboots.
func (c *Client) NodeReboots(ctx context.Context) ([]v1alpha1.NodeReboot, error) {
	list, err := c.list(ctx)
	if err != nil {
		return nil, err
	}

	return list.Items, nil
}

func (c *Client) list(ctx context.Context) (*v1alpha1.NodeRebootList, error) {
	return request(ctx, "failed to list the NodeReboots", func(ctx context.Context) (*v1alpha1.NodeRebootList, error) {
		return c.reboots.List(ctx, metav1.ListOptions{})
	})
}

// nodeReboot reads a NodeReboot; nil if there is none of that name.
func (c *Client) nodeReboot(ctx context.Context, name string) (*v1alpha1.NodeReboot, error) {
	reboot, err := request(ctx, fmt.Sprintf("failed to read NodeReboot %q", name), func(ctx context.Context) (*v1alpha1.NodeReboot, error) {
		return c.reboots.Get(ctx, name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) && !IsNotInstalled(err) {
		return nil, nil
	}

	return reboot, err
}
