// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/cri"
)

// controllerManagerImage is an image that is in no registry: the lab's container
// runtime has the binary that is in it.
const controllerManagerImage = "registry.k8s.io/kube-controller-manager:lab"

// WithControllerManager gives the node a real kube-controller-manager, as a static
// pod under the node's host name, which is how Talos runs it. Those of more than
// one node elect a leader, one of whom follows another within seconds. The lab's own
// takes no part in that: it is to be stopped first.
func WithControllerManager() NodeOption {
	return func(node *Node) { node.controllerManager = true }
}

func (node *Node) installControllerManager() error {
	if !node.controllerManager {
		return nil
	}

	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("failed to find the running binary: %w", err)
	}

	kubernetes, err := component.Kubernetes()
	if err != nil {
		return err
	}

	ports, err := node.lab.ports.Take(1)
	if err != nil {
		return err
	}

	if node.config.Images == nil {
		node.config.Images = map[string]cri.Program{}
	}

	node.config.Images[controllerManagerImage] = cri.Program{
		Binary:      self,
		Args:        []string{node.name, kubernetes, string(component.ControllerManager)},
		Env:         append(os.Environ(), component.Environ(component.Named)),
		OwnHostname: true,
	}

	node.staticPods = append(node.staticPods, &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem,
			Name:      string(component.ControllerManager),
			Labels:    map[string]string{"k8s-app": string(component.ControllerManager), "tier": "control-plane"},
		},
		Spec: corev1.PodSpec{
			PriorityClassName:             "system-node-critical",
			HostNetwork:                   true,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name:  string(component.ControllerManager),
				Image: controllerManagerImage,
				Args: node.lab.controllerManagerFlags(ports[0],
					"--leader-elect=true",
					"--leader-elect-lease-duration=5s",
					"--leader-elect-renew-deadline=4s",
					"--leader-elect-retry-period=1s",
				),
			}},
		},
	})

	return nil
}
