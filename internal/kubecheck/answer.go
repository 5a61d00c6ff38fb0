// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// maxWords is how many characters of what a kubelet says of its Node are shown.
const maxWords = 200

// What is said of a node that has no Node.
var (
	errNoNode  = errors.New("there is no Node of that name")
	errDeleted = errors.New("its Node was deleted")
)

var errDiffer = errors.New("the condition of its Node does not say what its report does")

// answer is what a Node says about its node. Its report is of the present boot if it has the boot id that the kubelet put on
// the Node; that a node goes down is known once its Ready condition says so.
func answer(node *corev1.Node) check.Answer {
	asked := check.Node{Name: node.Name, Address: address(node)}
	object := check.Object{
		Name:   node.Name,
		Report: node.Annotations[specs.NodeAnnotation],
		Boot:   check.Boot{ID: node.Status.NodeInfo.BootID},
	}

	ready := condition(node, corev1.NodeReady)

	switch {
	case ready.Status == corev1.ConditionTrue:
	case ready.Status == corev1.ConditionUnknown && object.Report != "":
		return check.Answer{Node: asked, Outcome: check.OutcomeUnreachable, Err: errors.New(words(ready))}
	default:
		object.NotReady = fmt.Errorf("its Node is not Ready: %s", words(ready))
	}

	said := object.Answer(asked)

	// Both are written in one request. Where they differ, somebody else wrote one of them.
	if said.Outcome == check.OutcomeStatus && said.Status.Phase == specs.PhaseRecovered {
		if recovered := condition(node, specs.NodeCondition); recovered.Status != corev1.ConditionTrue ||
			!strings.HasPrefix(recovered.Message, "boot "+said.Status.BootID+":") {
			return check.Answer{Node: asked, Outcome: check.OutcomeDoubtful, Err: errDiffer}
		}
	}

	return said
}

// missing is the answer of a node that has no Node.
func missing(node check.Node, err error) check.Answer {
	return check.Answer{Node: node, Outcome: check.OutcomeUnreachable, Err: err}
}

// condition returns a condition of the Node; empty if it has none of that kind.
func condition(node *corev1.Node, kind corev1.NodeConditionType) corev1.NodeCondition {
	for _, condition := range node.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}

	return corev1.NodeCondition{}
}

// words are what a condition says, cut to a bounded length.
func words(condition corev1.NodeCondition) string {
	text := []rune(check.OneLine(condition.Message))

	switch {
	case len(text) > maxWords:
		return string(text[:maxWords]) + "…"
	case len(text) > 0:
		return string(text)
	case condition.Reason != "":
		return check.OneLine(condition.Reason)
	default:
		return "it does not say why"
	}
}

// address is the Node's internal one; empty if it has none.
func address(node *corev1.Node) string {
	i := slices.IndexFunc(node.Status.Addresses, func(address corev1.NodeAddress) bool { return address.Type == corev1.NodeInternalIP })
	if i < 0 {
		return ""
	}

	return specs.Printable(node.Status.Addresses[i].Address, maxWords) // the node has written it
}
