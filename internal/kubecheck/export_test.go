// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck

import (
	"net/http"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/talos-rebound/rebound/pkg/check"
)

// New makes a cluster of what lists and watches Nodes.
func New(nodes corev1client.NodeInterface) *Cluster {
	return &Cluster{client: http.DefaultClient, nodes: nodes, seen: map[string]check.Answer{}}
}
