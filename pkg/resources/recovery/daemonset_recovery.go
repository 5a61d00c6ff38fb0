// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/cosi-project/runtime/pkg/resource/typed"
	"github.com/siderolabs/talos/pkg/machinery/proto"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// DaemonSetRecoveryType is the type of the DaemonSetRecovery resource.
const DaemonSetRecoveryType = resource.Type("DaemonSetRecoveries.recovery.talos.dev")

// DaemonSetRecovery tells what became of one DaemonSet's pod on this node since its boot. Its id is
// "<namespace>/<name>" of the DaemonSet, and "<namespace>/<group>/<name>" for one of an API group other than apps.
type DaemonSetRecovery = typed.Resource[DaemonSetRecoverySpec, DaemonSetRecoveryExtension]

// DaemonSetRecoverySpec is the spec of DaemonSetRecovery.
type DaemonSetRecoverySpec = specs.DaemonSetRecovery

// NewDaemonSetRecovery makes an empty DaemonSetRecovery.
func NewDaemonSetRecovery(id resource.ID) *DaemonSetRecovery {
	return typed.NewResource[DaemonSetRecoverySpec, DaemonSetRecoveryExtension](
		resource.NewMetadata(NamespaceName, DaemonSetRecoveryType, id, resource.VersionUndefined),
		DaemonSetRecoverySpec{},
	)
}

// DaemonSetRecoveryExtension defines the DaemonSetRecovery resource.
type DaemonSetRecoveryExtension struct{}

// ResourceDefinition implements meta.ResourceDefinitionProvider.
func (DaemonSetRecoveryExtension) ResourceDefinition() meta.ResourceDefinitionSpec {
	return meta.ResourceDefinitionSpec{
		Type:             DaemonSetRecoveryType,
		Aliases:          []resource.Type{},
		DefaultNamespace: NamespaceName,
		PrintColumns: []meta.PrintColumn{
			{Name: "Phase", JSONPath: "{.phase}"},
			{Name: "Failed Pod", JSONPath: "{.failedPod}"},
			{Name: "Reason", JSONPath: "{.reason}"},
			{Name: "Attempts", JSONPath: "{.attempts}"},
			{Name: "Replacement", JSONPath: "{.replacementPod}"},
			{Name: "Waiting For", JSONPath: "{.replacementStatus}"},
			{Name: "Last Error", JSONPath: "{.lastError}"},
		},
	}
}

func init() {
	proto.RegisterDefaultTypes()

	if err := protobuf.RegisterDynamic[DaemonSetRecoverySpec](DaemonSetRecoveryType, &DaemonSetRecovery{}); err != nil {
		panic(err)
	}
}
