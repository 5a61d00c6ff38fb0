// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "fmt"

// quorum returns what speaks against taking a control plane away, or nothing. Force does not make two of them go at once.
func (p *planner) quorum(name string, r *Reboot) string {
	candidate := p.facts.Nodes[name]
	if !candidate.ControlPlane {
		return ""
	}

	for _, other := range p.nodeNames {
		node := p.facts.Nodes[other]
		if other == name || !node.ControlPlane {
			continue
		}

		if p.isTaken(other) {
			return fmt.Sprintf("control plane %s is being rebooted, and there is never a second one", other)
		}

		if problem := controlPlaneProblem(&node); problem != "" && !r.Force {
			return fmt.Sprintf("control plane %s %s", other, problem)
		}
	}

	if r.Force {
		return ""
	}

	return p.etcdProblem(name)
}

// controlPlaneProblem returns why a control plane cannot be counted on, or nothing. About etcd it knows the condition that K3s
// and RKE2 set, and the static pods of kubeadm.
func controlPlaneProblem(node *Node) string {
	if !node.Ready {
		return "is not Ready"
	}

	if voter, ok := node.Conditions[conditionEtcdIsVoter]; ok {
		if voter != "True" {
			return "is no voting member of etcd"
		}

		return ""
	}

	if node.EtcdPodsReady < node.EtcdPods {
		return "has a pod of etcd that is not Ready"
	}

	return ""
}

// etcdProblem returns what the Talos API has said against taking a control plane out of etcd. It is asked before the slot is
// taken, and again before the grant (isChecked): in between, what is not known, as after a change of coordinators, is no reason
// to give up.
func (p *planner) etcdProblem(name string) string {
	node, answer := p.facts.Nodes[name], p.facts.Talos[name]

	if !node.Talos || !p.facts.TalosAPI || answer.EtcdProblem == "" {
		return ""
	}

	p.checkAgain(name)

	return "etcd cannot do without it: " + answer.EtcdProblem
}
