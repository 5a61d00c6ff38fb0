// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

const (
	// ControlPlaneLabel is on the nodes of the control plane. A kubelet may not set
	// it itself (NodeRestriction).
	ControlPlaneLabel = "node-role.kubernetes.io/control-plane"
	// EtcdVoterCondition is what K3s says about a server whose etcd has a vote.
	EtcdVoterCondition corev1.NodeConditionType = "EtcdIsVoter"
)

// WithStaticPod has the kubelet run a pod that is a file on the node.
func WithStaticPod(pod *corev1.Pod) NodeOption {
	return func(node *Node) { node.staticPods = append(node.staticPods, pod) }
}

// EtcdPod is a static pod as kubeadm has it on every node of the control plane.
func EtcdPod() *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem,
			Name:      "etcd",
			Labels:    map[string]string{"component": "etcd", "tier": "control-plane"},
		},
		Spec: corev1.PodSpec{
			PriorityClassName:             "system-node-critical",
			HostNetwork:                   true,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers:                    []corev1.Container{{Name: "etcd", Image: image}},
		},
	}
}

// setRole gives the node's object what the kubelet may not give it.
func (node *Node) setRole(ctx context.Context) error {
	if node.etcd == nil {
		return nil
	}

	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:""}}}`, ControlPlaneLabel)

	if _, err := node.lab.client.CoreV1().Nodes().Patch(ctx, node.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("failed to label node %q: %w", node.name, err)
	}

	return nil
}

// SetCondition sets a condition of the node that others than the kubelet keep.
func (node *Node) SetCondition(ctx context.Context, name corev1.NodeConditionType, status corev1.ConditionStatus, reason string) error {
	now := metav1.NewTime(time.Now())

	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{{
		Type: name, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now,
	}}}})
	if err != nil {
		return fmt.Errorf("failed to encode condition %q: %w", name, err)
	}

	if _, err = node.lab.client.CoreV1().Nodes().PatchStatus(ctx, node.name, patch); err != nil {
		return fmt.Errorf("failed to set condition %q of node %q: %w", name, node.name, err)
	}

	return nil
}

// installStaticPods writes the manifests of static pods, next to the agent's if
// that is in a folder.
func (node *Node) installStaticPods() error {
	if len(node.staticPods) == 0 {
		return nil
	}

	if node.config.StaticPods == "" {
		node.config.StaticPods = filepath.Join(string(node.config.Root), "etc", "kubernetes", "manifests")
	}

	if err := os.MkdirAll(node.config.StaticPods, 0o700); err != nil {
		return fmt.Errorf("failed to make folder of static pods: %w", err)
	}

	for _, pod := range node.staticPods {
		content, err := yaml.Marshal(pod)
		if err != nil {
			return fmt.Errorf("failed to encode static pod %q: %w", pod.Name, err)
		}

		if err = os.WriteFile(filepath.Join(node.config.StaticPods, pod.Name+".yaml"), content, 0o600); err != nil {
			return fmt.Errorf("failed to write static pod %q: %w", pod.Name, err)
		}
	}

	return nil
}
