// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package recovery holds the COSI resources through which rebound tells what it found and did after a boot.
//
// It is data only: type, id, print columns and registration of each resource. What the fields mean stands with the
// specs, what puts values into them is the controller of the same name.
package recovery

import (
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
)

// NamespaceName is the namespace of the resources: the one that Talos keeps for everything Kubernetes.
const NamespaceName = k8s.NamespaceName

// ResourceDefinitions is the one list of resources that a Talos build registers for rebound. Every call returns new
// values.
func ResourceDefinitions() []meta.ResourceWithRD {
	return []meta.ResourceWithRD{
		&RecoveryStatus{},
		&DaemonSetRecovery{},
	}
}
