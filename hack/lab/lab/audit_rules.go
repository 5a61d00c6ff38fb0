// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ReboundUserAgent tells rebound's requests from the kubelet's, whose
	// identity they share.
	ReboundUserAgent = "rebound"
	// NodeUserPrefix begins the user name of a node's identity.
	NodeUserPrefix = "system:node:"
)

// IsOfRebound says whether rebound sent the request from the node.
func (record AuditRecord) IsOfRebound(node string) bool {
	return record.UserAgent == ReboundUserAgent && record.User == NodeUserPrefix+node
}

// Violations returns what rebound did and should not have done, according to
// the audit log, one line for each. Rebound may use nothing but a node's
// identity, may look at nothing but that node and its pods, and may change
// nothing but delete, by name, that node's Failed pods that a DaemonSet owns,
// and report on the Node. Events are free.
func Violations(records []AuditRecord) []string {
	var violations []string

	for _, record := range records {
		if record.UserAgent != ReboundUserAgent {
			continue
		}

		if problem := violation(record); problem != "" {
			violations = append(violations, fmt.Sprintf("%s %s by %q (%d): %s", record.Verb, record.URI, record.User, record.Code, problem))
		}
	}

	return violations
}

// violation returns what is wrong with one of rebound's requests, and nothing
// if it is in order.
func violation(record AuditRecord) string {
	node, ok := strings.CutPrefix(record.User, NodeUserPrefix)

	switch {
	case record.Code == 401:
		// An identity that is not valid any more, refused before anything else:
		// the API server does not say whose it was.
		return ""
	case !ok || node == "":
		return "not the identity of a node"
	case record.Resource == "pods" && record.Subresource == "":
		return podViolation(record, node)
	case record.Resource == "events" && record.Verb == "create":
		return ""
	case record.Resource == "nodes" && record.Name == node && isOfOwnNode(record):
		return ""
	default:
		return "not a request that rebound needs"
	}
}

// isOfOwnNode says whether a request about the node's own object is to look at
// it, or to report on it. A list and a watch have a name if they select it.
func isOfOwnNode(record AuditRecord) bool {
	switch record.Verb {
	case "get", "list", "watch":
		return record.Subresource == ""
	case "patch":
		return record.Subresource == "status"
	default:
		return false
	}
}

func podViolation(record AuditRecord, node string) string {
	switch record.Verb {
	case "list", "watch":
		if !strings.Contains(record.URI, "fieldSelector=spec.nodeName%3D"+node+"&") && !strings.HasSuffix(record.URI, "fieldSelector=spec.nodeName%3D"+node) {
			return "not restricted to the pods of the node"
		}

		return ""
	case "delete":
		if !record.DeletesPod() {
			return ""
		}

		return deleteViolation(record.Pod, node)
	default:
		return "not a request that rebound needs"
	}
}

// deleteViolation judges the pod that was deleted.
func deleteViolation(pod *corev1.Pod, node string) string {
	if pod == nil {
		return "the audit log does not have the pod"
	}

	var problems []string

	if pod.Spec.NodeName != node {
		problems = append(problems, fmt.Sprintf("the pod is bound to %q", pod.Spec.NodeName))
	}

	if pod.Status.Phase != corev1.PodFailed {
		problems = append(problems, fmt.Sprintf("the pod is %s", pod.Status.Phase))
	}

	if owner := metav1.GetControllerOf(pod); owner == nil || owner.Kind != "DaemonSet" {
		problems = append(problems, "the pod is not a DaemonSet's")
	}

	return strings.Join(problems, "; ")
}
