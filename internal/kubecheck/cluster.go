// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck

import (
	"fmt"
	"net/http"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/internal/kubeconfig"
	"github.com/talos-rebound/rebound/pkg/check"
)

// userAgent is how the requests can be told from those of rebound on a node in an audit log.
const userAgent = "rebound-health"

// Cluster is a cluster whose Nodes are asked for. Its methods may not be called concurrently.
type Cluster struct {
	client *http.Client
	nodes  corev1client.NodeInterface
	// names are those of the nodes that are meant; empty if all are.
	names []string
	// seen has what every Node said last that was there once: one that has been deleted since is missed.
	seen map[string]check.Answer
}

// Open makes a client of a context in the kubeconfig at path; an empty one means the one that the file calls current. Names
// are the nodes that are meant, all if there are none. Nothing is sent yet, so an error is one of the file.
func Open(path, context string, names []string) (*Cluster, error) {
	config, err := kubeconfig.Load(path, context)
	if err != nil {
		return nil, err
	}

	config.UserAgent = userAgent
	config.WarningHandler = rest.NoWarnings{}

	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("failed to use kubeconfig %q: %w", path, err)
	}

	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("failed to use kubeconfig %q: %w", path, err)
	}

	return &Cluster{client: client, nodes: core.Nodes(), names: names, seen: map[string]check.Answer{}}, nil
}

// Close ends the connections.
func (cluster *Cluster) Close() { utilnet.CloseIdleConnectionsFor(cluster.client.Transport) }
