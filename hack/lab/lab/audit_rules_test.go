// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestAuditRulesLetReboundDoItsWork(t *testing.T) {
	t.Parallel()

	assert.Empty(t, lab.Violations([]lab.AuditRecord{
		deleteOf(failedPod()),
		changed(deleteOf(nil), func(record *lab.AuditRecord) { record.Code = 404 }),
		changed(deleteOf(nil), func(record *lab.AuditRecord) { record.Code, record.User = 401, "" }),
		request("watch", "pods", "/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dworker-1&watch=true"),
		request("list", "pods", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker-1"),
		request("get", "nodes", "/api/v1/nodes/worker-1"),
		request("list", "nodes", "/api/v1/nodes?fieldSelector=metadata.name%3Dworker-1"),
		request("watch", "nodes", "/api/v1/nodes?fieldSelector=metadata.name%3Dworker-1&watch=true"),
		request("create", "events", "/api/v1/namespaces/kube-system/events"),
	}))
}

func TestAuditRulesLeaveOthersAlone(t *testing.T) {
	t.Parallel()

	for _, agent := range []string{"kubelet/v1.36.3", "kube-controller-manager", ""} {
		assert.Empty(t, lab.Violations([]lab.AuditRecord{
			changed(deleteOf(nil), func(record *lab.AuditRecord) { record.UserAgent = agent }),
		}))
	}
}

func TestAuditRulesFindWhatReboundMustNotDo(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		name   string
		record lab.AuditRecord
		words  string
	}{
		{"a delete by an administrator", changed(deleteOf(failedPod()), func(record *lab.AuditRecord) { record.User = "admin" }), "not the identity of a node"},
		{"a delete of which nothing is known", deleteOf(nil), "does not have the pod"},
		{"a delete of a running pod", deleteOf(podWith(func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning })), "the pod is Running"},
		{"a delete of another node's pod", deleteOf(podWith(func(pod *corev1.Pod) { pod.Spec.NodeName = "worker-2" })), `bound to "worker-2"`},
		{"a delete of a pod that nobody owns", deleteOf(podWith(func(pod *corev1.Pod) { pod.OwnerReferences = nil })), "not a DaemonSet's"},
		{"a delete of a Job's pod", deleteOf(podWith(func(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "Job" })), "not a DaemonSet's"},
		{"a delete of a pod that a DaemonSet does not control", deleteOf(podWith(func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = nil })), "not a DaemonSet's"},
		{"a delete of many pods", request("deletecollection", "pods", "/api/v1/namespaces/kube-system/pods"), "rebound needs"},
		{"an eviction", changed(request("create", "pods", "/"), func(record *lab.AuditRecord) { record.Subresource = "eviction" }), "rebound needs"},
		{"a change of a pod", request("patch", "pods", "/"), "rebound needs"},
		{"a list of all pods", request("list", "pods", "/api/v1/pods"), "not restricted"},
		{"a watch of the pods of a node of a similar name", request("watch", "pods", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker-11&watch=true"), "not restricted"},
		{"a look at a DaemonSet", request("get", "daemonsets", "/"), "rebound needs"},
		{"a look at another node", changed(request("get", "nodes", "/"), func(record *lab.AuditRecord) { record.Name = "worker-2" }), "rebound needs"},
		{"a list of all nodes", changed(request("list", "nodes", "/api/v1/nodes"), func(record *lab.AuditRecord) { record.Name = "" }), "rebound needs"},
		{"a change of its node but for the status", request("patch", "nodes", "/"), "rebound needs"},
		{"a report on another node", changed(request("patch", "nodes", "/"), func(record *lab.AuditRecord) {
			record.Subresource, record.Name = "status", "worker-2"
		}), "rebound needs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			found := lab.Violations([]lab.AuditRecord{deleteOf(failedPod()), test.record})

			require.Len(t, found, 1)
			assert.Contains(t, found[0], test.words)
		})
	}
}

func request(verb, resource, uri string) lab.AuditRecord {
	return lab.AuditRecord{
		User: "system:node:worker-1", UserAgent: "rebound", Verb: verb, Resource: resource, Name: "worker-1", URI: uri, Code: 200,
	}
}

func deleteOf(pod *corev1.Pod) lab.AuditRecord {
	return changed(request("delete", "pods", "/api/v1/namespaces/kube-system/pods/proxy-1"), func(record *lab.AuditRecord) {
		record.Name, record.Pod = "proxy-1", pod
	})
}

func changed(record lab.AuditRecord, change func(*lab.AuditRecord)) lab.AuditRecord {
	change(&record)

	return record
}

func podWith(change func(*corev1.Pod)) *corev1.Pod {
	pod := failedPod()
	change(pod)

	return pod
}

func failedPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "proxy-1",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "proxy", Controller: new(true)}},
		},
		Spec:   corev1.PodSpec{NodeName: "worker-1"},
		Status: corev1.PodStatus{Phase: corev1.PodFailed},
	}
}
