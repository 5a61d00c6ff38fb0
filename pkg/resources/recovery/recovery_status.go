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

// RecoveryStatusType is the type of the RecoveryStatus resource.
const RecoveryStatusType = resource.Type("RecoveryStatuses.recovery.talos.dev")

// RecoveryStatusID is the id of the only RecoveryStatus of a node.
const RecoveryStatusID = resource.ID("recovery")

// RecoveryStatus tells how far this node's DaemonSet pods have recovered since its boot.
//
// A node that has just booted has none yet: whoever waits for it takes "not found" for "not yet".
type RecoveryStatus = typed.Resource[RecoveryStatusSpec, RecoveryStatusExtension]

// RecoveryStatusSpec is the spec of RecoveryStatus.
type RecoveryStatusSpec = specs.RecoveryStatus

// NewRecoveryStatus makes an empty RecoveryStatus.
func NewRecoveryStatus() *RecoveryStatus {
	return typed.NewResource[RecoveryStatusSpec, RecoveryStatusExtension](
		resource.NewMetadata(NamespaceName, RecoveryStatusType, RecoveryStatusID, resource.VersionUndefined),
		RecoveryStatusSpec{},
	)
}

// RecoveryStatusExtension defines the RecoveryStatus resource.
type RecoveryStatusExtension struct{}

// ResourceDefinition implements meta.ResourceDefinitionProvider.
func (RecoveryStatusExtension) ResourceDefinition() meta.ResourceDefinitionSpec {
	return meta.ResourceDefinitionSpec{
		Type: RecoveryStatusType,
		// The automatic alias would be "rs", which Talos' ResolverStatuses and RouteStatuses already share.
		SkipAutomaticAliases: true,
		AllAliases:           []resource.Type{"recoverystatuses", "recoverystatuses.recovery", "recoverystatuses.recovery.talos"},
		Aliases:              []resource.Type{"recoverystatus"},
		DefaultNamespace:     NamespaceName,
		PrintColumns: []meta.PrintColumn{
			{Name: "Node", JSONPath: "{.nodeName}"},
			{Name: "Phase", JSONPath: "{.phase}"},
			{Name: "Found", JSONPath: "{.counts.found}"},
			{Name: "Deleted", JSONPath: "{.counts.deleted}"},
			{Name: "Recovered", JSONPath: "{.counts.recovered}"},
			{Name: "Message", JSONPath: "{.message}"},
		},
	}
}

func init() {
	proto.RegisterDefaultTypes()

	if err := protobuf.RegisterDynamic[RecoveryStatusSpec](RecoveryStatusType, &RecoveryStatus{}); err != nil {
		panic(err)
	}
}
