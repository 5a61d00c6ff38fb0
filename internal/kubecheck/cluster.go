// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

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
	config, err := load(path, context)
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

// load reads the kubeconfig and nothing else: neither other files nor the service account of a pod.
func load(path, context string) (*rest.Config, error) {
	file, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read kubeconfig %q: %s; name another with --kubeconfig", path, check.OneLine(err.Error()))
	}

	chosen := cmp.Or(context, file.CurrentContext)

	switch {
	case len(file.Contexts) == 0:
		return nil, fmt.Errorf("kubeconfig %q has no contexts; name another with --kubeconfig", path)
	case chosen == "":
		return nil, fmt.Errorf("kubeconfig %q has no current context; choose one with --kube-context: %s", path, quoted(file.Contexts))
	case file.Contexts[chosen] == nil:
		return nil, fmt.Errorf("context %q is not in kubeconfig %q, which has %s; choose one with --kube-context", chosen, path, quoted(file.Contexts))
	}

	if err = clientcmd.ResolveLocalPaths(file); err != nil {
		return nil, fmt.Errorf("failed to read kubeconfig %q: %w", path, err)
	}

	config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{CurrentContext: chosen}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %q of kubeconfig %q cannot be used: %s", chosen, path, check.OneLine(err.Error()))
	}

	return config, nil
}

// quoted are the names of the contexts, as they are shown.
func quoted[T any](contexts map[string]T) string {
	names := slices.Sorted(maps.Keys(contexts))
	for i, name := range names {
		names[i] = fmt.Sprintf("%q", name)
	}

	return strings.Join(names, ", ")
}
