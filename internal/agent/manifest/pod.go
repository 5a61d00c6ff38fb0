// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const (
	// Name is the name of the static pod; the kubelet appends that of the node.
	Name = "rebound"
	// NodeNameVariable is where the agent finds the name of its node.
	NodeNameVariable = "NODE_NAME"
	// nodeCritical is a class that exists in every cluster.
	nodeCritical = "system-node-critical"
	// stopTimeout is longer than the agent needs: SIGTERM ends it at once.
	stopTimeout = 5
	// yamlIndent is what kubectl prints.
	yamlIndent = 2
)

// newPod is the static pod.
func newPod(on platform.Platform, options Options) *corev1.Pod {
	volumes, mounts := hostFiles(on, options)

	// Where the runtime labels containers, that of an ordinary pod lets it read nothing of the host. RKE2 does so when it
	// is installed from packages, and has types of its own for its static pods (rancher/rke2 docs/security/selinux.md).
	var selinux *corev1.SELinuxOptions
	if options.SELinuxType != "" {
		selinux = &corev1.SELinuxOptions{Type: options.SELinuxType}
	}

	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: Name,
			// Its PodSecurity lets the mirror pod in everywhere.
			Namespace: metav1.NamespaceSystem,
			Labels:    map[string]string{"app.kubernetes.io/name": Name, "app.kubernetes.io/component": "agent"},
		},
		Spec: corev1.PodSpec{
			// For the kubelet's health and the local balancers, and to start before there is a CNI.
			HostNetwork: true,
			// The class without a priority: the kubelet never evicts it, but stops it in the first group of a shutdown. It
			// looks at the number alone there, which it does not know for static pods (Kubernetes v1.36.3
			// pkg/kubelet/nodeshutdown/nodeshutdown_manager.go:268).
			PriorityClassName: nodeCritical,
			// Without it the kubelet does not start a static pod again that has ended (pkg/kubelet/status/status_manager.go:769).
			RestartPolicy: corev1.RestartPolicyAlways,
			// Pods from a URL get none, unlike those from files (pkg/kubelet/config/common.go:93).
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			TerminationGracePeriodSeconds: new(int64(stopTimeout)),
			AutomountServiceAccountToken:  new(false), // a static pod cannot have one
			EnableServiceLinks:            new(false),
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				SELinuxOptions: selinux,
			},
			Containers: []corev1.Container{{
				Name:            Name,
				Image:           options.Image,
				ImagePullPolicy: corev1.PullIfNotPresent, // a node that boots without a registry needs it most
				Args:            options.args(on),
				Env: []corev1.EnvVar{{
					Name: NodeNameVariable,
					ValueFrom: &corev1.EnvVarSource{
						FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"},
					},
				}},
				// No limit of CPU: what is held back here is held back for every pod that waits for it.
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{
						corev1.ResourceCPU:    resource.MustParse("10m"),
						corev1.ResourceMemory: resource.MustParse("32Mi"),
					},
					Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
				},
				SecurityContext: &corev1.SecurityContext{
					// The kubelet's key is root's. No capability is needed to read what is one's own.
					RunAsUser:                new(int64(0)),
					RunAsGroup:               new(int64(0)),
					Privileged:               new(false),
					AllowPrivilegeEscalation: new(false),
					ReadOnlyRootFilesystem:   new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: mounts,
			}},
			Volumes: volumes,
		},
	}

	if options.Reboots.Enabled {
		letReboot(pod, on, options.Reboots)
	}

	return pod
}

// hostFiles are the files of the host that the agent needs, each at its own path.
func hostFiles(on platform.Platform, options Options) (volumes []corev1.Volume, mounts []corev1.VolumeMount) {
	add := func(name, path string, kind corev1.HostPathType, readOnly bool) {
		volumes = append(volumes, corev1.Volume{
			Name:         name,
			VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}},
		})
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: readOnly})
	}

	// Until it exists, as on a node that has not joined yet, the kubelet tries again.
	if kubeconfig := options.kubeconfig(on); kubeconfig != "" && !slices.Contains(on.PKI, path.Dir(kubeconfig)) {
		add("kubeconfig", kubeconfig, corev1.HostPathFile, true)
	}

	for i, folder := range on.PKI {
		name := "pki"
		if i > 0 {
			name += strconv.Itoa(i)
		}

		add(name, folder, corev1.HostPathDirectory, true)
	}

	add("run", runFolder, corev1.HostPathDirectoryOrCreate, false)

	return volumes, mounts
}

func writePod(out io.Writer, pod *corev1.Pod) error {
	plain, err := plainPod(pod)
	if err != nil {
		return err
	}

	return writeYAML(out, plain)
}

// writePatch writes the part of a machine config of Talos that has the pod.
func writePatch(out io.Writer, pod *corev1.Pod) error {
	plain, err := plainPod(pod)
	if err != nil {
		return err
	}

	return writeYAML(out, map[string]any{"machine": map[string]any{"pods": []any{plain}}})
}

// plainPod is a pod without what its type cannot leave out.
func plainPod(pod *corev1.Pod) (map[string]any, error) {
	plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("failed to render pod %q: %w", pod.Name, err)
	}

	delete(plain, "status")

	return plain, nil
}

func writeYAML(out io.Writer, document any) error {
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(yamlIndent)

	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("failed to render manifest: %w", err)
	}

	return encoder.Close()
}
