// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// Observer reads what the API server knows of this node.
type Observer interface {
	// Node returns what the kubelet last posted to the Node object.
	Node(ctx context.Context, name string) (recovery.Node, error)
	// WatchPods calls changed with all pods of the node at first and after every change. It returns nil when ctx ends and
	// the reason when a request fails; it does not retry.
	WatchPods(ctx context.Context, node string, changed func([]recovery.Pod)) error
}

// Deleter changes what the API server knows of this node.
type Deleter interface {
	// DeletePod deletes exactly the pod that was seen.
	DeletePod(ctx context.Context, pod recovery.Pod) error
	// RecordDeletion leaves a Kubernetes event on the pod's DaemonSet.
	RecordDeletion(ctx context.Context, pod recovery.Pod, reason string, at time.Time) error
}

// Connection is what the controller needs of the API server; internal/kube has it.
type Connection interface {
	Observer
	Deleter
	Reporter

	// Close lets go of the connections. Requests under way end with their own contexts.
	Close()
}
