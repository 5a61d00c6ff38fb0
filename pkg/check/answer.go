// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Node is a node that is asked.
type Node struct {
	// Address is what the Talos API is to be told: an IP address or a host name that the endpoint can resolve. Empty
	// means the endpoint itself.
	Address string
	// Name is what messages call the node. Empty means the name under which the node is registered with Kubernetes, and
	// its Address while that is not known.
	Name string
}

// Nodes makes nodes of their addresses.
func Nodes(addresses ...string) []Node {
	nodes := make([]Node, 0, len(addresses))

	for _, address := range addresses {
		nodes = append(nodes, Node{Address: address})
	}

	return nodes
}

// Outcome is how a node answered. The zero value is OutcomeUnreachable: without an answer nothing is known.
type Outcome int

const (
	// OutcomeUnreachable means that there was no answer; the error says why.
	OutcomeUnreachable Outcome = iota // unreachable
	// OutcomeStatus means that the node has a recovery status.
	OutcomeStatus // status
	// OutcomeNotFound means that the node knows the resource and has none yet: it has just booted.
	OutcomeNotFound // not found
	// OutcomeUnsupported means that the node is without rebound: its Talos does not know the resource, or it has none, and
	// its Node object carries no report.
	OutcomeUnsupported // unsupported
	// OutcomeRefused means that the caller may not read resources; the error has the words of the API.
	OutcomeRefused // refused
	// OutcomeDoubtful means that nothing can be concluded from the node's Node object at the moment; the error says why.
	OutcomeDoubtful // doubtful
)

// Answer is what a node answered.
type Answer struct {
	Node    Node
	Outcome Outcome
	// Status is the node's recovery status; nil unless the outcome is OutcomeStatus.
	Status *recovery.RecoveryStatusSpec
	// Report is what Status was made of, if that was no resource but a report on the Node object: the status has no counts
	// and no DaemonSets then.
	Report *specs.NodeReport
	// Err is why there is no status; nil unless the outcome is OutcomeUnreachable, OutcomeRefused or OutcomeDoubtful.
	Err error
}

// name is what messages call the node.
func (answer Answer) name() string {
	switch {
	case answer.Node.Name != "":
		return answer.Node.Name
	case answer.Status != nil && answer.Status.NodeName != "":
		return answer.Status.NodeName
	case answer.Node.Address != "":
		return answer.Node.Address
	default:
		return "the endpoint"
	}
}
