// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the objects.
const GroupName = "reboot.rebound.dev"

// GroupVersion is the group with the version of this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// The names of the resources, as they stand in URLs and in roles.
const (
	ResourceRebootBudgets  = "rebootbudgets"
	ResourceRebootPolicies = "rebootpolicies"
	ResourceNodeReboots    = "nodereboots"
)

// AddToScheme adds the types to a scheme. It never fails.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&RebootBudget{}, &RebootBudgetList{},
		&RebootPolicy{}, &RebootPolicyList{},
		&NodeReboot{}, &NodeRebootList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)

	return nil
}
