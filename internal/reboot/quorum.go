// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import "fmt"

// quorum returns what speaks against taking a control plane away, or nothing. Force does not make two of them go at once.
func (p *planner) quorum(name string, force bool) string {
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

		if problem := p.controlPlaneProblem(other, &node); problem != "" && !force {
			return fmt.Sprintf("control plane %s %s", other, problem)
		}
	}

	return ""
}

// controlPlaneProblem returns why a control plane cannot be counted on, or nothing. What is asked about etcd is what there
// is to ask: the condition that K3s and RKE2 set, the Talos API, the static pods of kubeadm.
func (p *planner) controlPlaneProblem(name string, node *Node) string {
	if !node.Ready {
		return "is not Ready"
	}

	if voter, ok := node.Conditions[conditionEtcdIsVoter]; ok {
		if voter != "True" {
			return "is no voting member of etcd"
		}

		return ""
	}

	if node.Talos && p.facts.TalosAPI {
		if answer := p.facts.Talos[name]; answer.EtcdProblem != "" {
			p.checkAgain(name)

			return "has a problem with etcd: " + answer.EtcdProblem
		}

		return ""
	}

	if node.EtcdPodsReady < node.EtcdPods {
		return "has a pod of etcd that is not Ready"
	}

	return ""
}
