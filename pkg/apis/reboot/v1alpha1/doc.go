// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package v1alpha1 has the objects of coordinated reboots, in the API group reboot.rebound.dev: RebootBudget (how many nodes
// at a time), RebootPolicy (which nodes, when and how) and NodeReboot (that one node is to be rebooted, and how far that
// is). All three are cluster-scoped. It also has the two annotations through which a node and the coordinator talk.
//
// It is data only and needs nothing but k8s.io/apimachinery. What the fields lead to is decided in internal/reboot.
//
// +kubebuilder:object:generate=true
// +groupName=reboot.rebound.dev
package v1alpha1

//go:generate go tool -modfile=../../../../hack/tools/go.mod controller-gen object:headerFile=../../../../hack/boilerplate.go.txt crd paths=. output:crd:dir=../../../../cmd/rebound-coordinator/deploy/base/crds
