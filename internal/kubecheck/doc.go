// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kubecheck asks the Kubernetes API what package check asks the Talos API: whether the nodes of a cluster have their
// DaemonSet pods back. The nodes may run anything; what they say is on their Node objects. It takes the rights to list and to
// watch Nodes and writes nothing.
//
// It is not part of package check because machined, which links that, would link it too.
package kubecheck
