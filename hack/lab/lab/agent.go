// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/hack/lab/internal/cri"
	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// agentImage is an image that is in no registry: the lab's container runtime
// has the binary that is in it.
const agentImage = manifest.Repository + ":lab"

// AgentPod is the name of the agent's static pod, before the kubelet appends
// that of the node.
const AgentPod = "rebound"

// Agent is rebound outside machined, as a static pod: what rebound manifest
// prints is what the kubelet gets, and the container is a process.
type Agent struct {
	// Binary is the path of rebound.
	Binary string
	// Platform is where the node's files are.
	Platform platform.Name
	// Reboots is its part in coordinated reboots.
	Reboots platform.Reboots
	// Args are further flags of rebound agent.
	Args []string
}

// WithAgent gives the node rebound's agent.
func WithAgent(agent Agent) NodeOption {
	return func(node *Node) { node.agent = &agent }
}

// install puts the agent's manifest where the platform has it, and what the
// agent needs of the node where the platform keeps that.
func (agent *Agent) install(node *Node) error {
	on, err := platform.Lookup(agent.Platform, "")
	if err != nil {
		return err
	}

	ports, err := node.lab.ports.Take(1)
	if err != nil {
		return err
	}

	node.metricsPort = ports[0]

	text, err := manifest.Render(on, manifest.Options{
		Version: "lab",
		Image:   agentImage,
		Reboots: agent.Reboots,
		Args: append([]string{
			"--kubelet-healthz=" + node.KubeletHealthz(),
			fmt.Sprintf("--metrics-listen=127.0.0.1:%d", node.metricsPort),
			"--log-format=console",
		}, agent.Args...),
	})
	if err != nil {
		return err
	}

	root := node.config.Root
	node.config.Images = map[string]cri.Program{agentImage: {Binary: agent.Binary, Root: string(root)}}

	node.reboundKubeconfig = filepath.Join(string(root), on.Kubeconfig)

	if node.proxy != nil && node.reboundKubeconfig == root.Kubeconfig() {
		return fmt.Errorf("no proxy for the agent alone on %s: it has the kubelet's kubeconfig", agent.Platform)
	}

	if err = node.writeKubeconfig(node.reboundKubeconfig, node.server()); err != nil {
		return err
	}

	if on.Manifests == "" {
		node.config.StaticPodList = filepath.Join(string(root), "pods.json")

		return writePodList(node.config.StaticPodList, text)
	}

	node.config.StaticPods = filepath.Join(string(root), on.Manifests)

	if err = os.MkdirAll(node.config.StaticPods, 0o700); err != nil {
		return fmt.Errorf("failed to make folder of static pods: %w", err)
	}

	return os.WriteFile(filepath.Join(node.config.StaticPods, AgentPod+".yaml"), text, 0o600)
}

// writePodList does what machined does with the pods of its configuration: it
// makes a list of them, which the kubelet gets over HTTP.
func writePodList(path string, machineConfig []byte) error {
	provider, err := configloader.NewFromBytes(machineConfig, configloader.WithAllowPatchDelete())
	if err != nil {
		return fmt.Errorf("failed to load machine config: %w", err)
	}

	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}

	for _, plain := range provider.Machine().Pods() {
		var pod corev1.Pod

		if err = runtime.DefaultUnstructuredConverter.FromUnstructured(plain, &pod); err != nil {
			return fmt.Errorf("failed to decode pod: %w", err)
		}

		list.Items = append(list.Items, pod)
	}

	content, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("failed to encode pods: %w", err)
	}

	return os.WriteFile(path, content, 0o600)
}

// AgentSocket is where the agent of the current boot serves its resources.
func (node *Node) AgentSocket() string {
	return filepath.Join(string(node.config.Root), "run", "rebound", "agent.sock")
}

// AgentLog returns what the agents of all boots have logged.
func (node *Node) AgentLog() (string, error) {
	// The error could only be that of a malformed pattern.
	paths, _ := filepath.Glob(filepath.Join(node.config.Root.PodLogs(), metav1.NamespaceSystem+"_"+AgentPod+"-*", AgentPod, "*.log"))

	var log strings.Builder

	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("failed to read the agent's log: %w", err)
		}

		log.Write(content)
	}

	return log.String(), nil
}

// AgentMetrics is the URL of the agent's metrics.
func (node *Node) AgentMetrics() string {
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", node.metricsPort)
}
