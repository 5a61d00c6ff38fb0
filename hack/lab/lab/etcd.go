// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// ControlPlane makes the node a control plane node to all who look at it: to the
// Talos API that is its type as a member of the cluster, and it shows a member
// of etcd, with a vote and without errors; its Node object has the label of the
// role. It does not run the lab's control plane, which runs elsewhere.
func ControlPlane() NodeOption {
	return func(node *Node) {
		node.etcd = &machine.EtcdMember{Name: node.name}
		node.config.EtcdMembers = node.lab.path("etcd-members.json")
	}
}

// ShowEtcd changes what a control plane node shows of its etcd: whether it is a
// learner, and what is wrong with it.
func (node *Node) ShowEtcd(learner bool, errors ...string) error {
	node.lab.mu.Lock()
	defer node.lab.mu.Unlock()

	if node.etcd == nil {
		return fmt.Errorf("failed to change the etcd of node %q: it is a worker", node.name)
	}

	node.etcd.Learner, node.etcd.Errors = learner, errors

	return node.lab.writeEtcdMembers()
}

// joinEtcd makes the node's etcd one of the members if it is a control plane
// node. The caller holds the lock.
func (lab *Lab) joinEtcd(node *Node) error {
	if node.etcd == nil {
		return nil
	}

	node.etcd.Address = node.address
	node.etcd.ID = 1

	for _, other := range lab.nodes {
		if other != node && other.etcd != nil && other.etcd.ID >= node.etcd.ID {
			node.etcd.ID = other.etcd.ID + 1
		}
	}

	return lab.writeEtcdMembers()
}

// writeEtcdMembers writes the members for the machines to read, in the order in
// which they joined. The caller holds the lock.
func (lab *Lab) writeEtcdMembers() error {
	var (
		members []machine.EtcdMember
		path    string
	)

	for _, node := range lab.nodes {
		if node.etcd != nil {
			members, path = append(members, *node.etcd), node.config.EtcdMembers
		}
	}

	slices.SortFunc(members, func(a, b machine.EtcdMember) int { return cmp.Compare(a.ID, b.ID) })

	return machine.WriteEtcdMembers(path, members)
}
