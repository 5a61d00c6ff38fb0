// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import "slices"

// Role is what a node has of rebound.
type Role string

// The roles.
const (
	// Machined has rebound in machined.
	Machined Role = "machined"
	// Agent has the agent, which takes part in reboots.
	Agent Role = "agent"
	// Stock has nothing of rebound.
	Stock Role = "stock"
)

// nodeRoles are the nodes of a soak.
var nodeRoles = map[string]Role{
	"machined-a": Machined,
	"machined-b": Machined,
	"agent-a":    Agent,
	"agent-b":    Agent,
	"stock-a":    Stock,
}

// replicas are those of the coordinator.
var replicas = []string{"coordinator-a", "coordinator-b"}

// daemonSetCount is how many DaemonSets run on every node.
const daemonSetCount = 20

// maxUnavailable is how many nodes the coordinator may take down at a time.
const maxUnavailable = 2

func isReplica(name string) bool { return slices.Contains(replicas, name) }

// nodesOf returns the names of the nodes with one of the roles, in order.
func nodesOf(roles ...Role) []string {
	var names []string

	for name, role := range nodeRoles {
		if slices.Contains(roles, role) {
			names = append(names, name)
		}
	}

	slices.Sort(names)

	return names
}

// withRebound returns the names of the nodes on which nothing may be stuck.
func withRebound() []string { return nodesOf(Machined, Agent) }

// clients are who has a proxy between itself and the API server.
func clients() []string { return slices.Concat(withRebound(), replicas) }
