// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package workload is what runs on the nodes of a lab that people look at: the
// DaemonSets that a node has in any cluster.
package workload

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// CNI is the DaemonSet whose pods start slowest, for they have an init
// container. It is in the namespace kube-system.
const CNI = "cni"

// Apply creates the DaemonSets.
func Apply(ctx context.Context, cluster *lab.Lab) error {
	for _, daemonSet := range []*appsv1.DaemonSet{
		lab.DaemonSet(metav1.NamespaceSystem, "kube-proxy", lab.Critical(), lab.HostNetwork()),
		lab.DaemonSet(metav1.NamespaceSystem, CNI, lab.HostNetwork(), lab.InitContainer("install-cni")),
		lab.DaemonSet("monitoring", "node-exporter"),
	} {
		if _, err := cluster.ApplyDaemonSet(ctx, daemonSet); err != nil {
			return err
		}
	}

	return nil
}
