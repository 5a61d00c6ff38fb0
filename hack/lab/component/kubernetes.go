// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/talos-rebound/rebound/hack/lab/internal/machine"
)

// KubernetesVariable is the environment variable with the path of the binary that
// hack/kubernetes/build.sh has built. If it is not set, the binary is called
// kubernetes and lies beside the running one.
const KubernetesVariable = "REBOUND_LAB_KUBERNETES"

// ofKubernetes says whether the component is in that binary.
func (name Name) ofKubernetes() bool {
	return slices.Contains([]Name{Etcd, APIServer, ControllerManager, Scheduler, Kubelet, StaticPods}, name)
}

// Kubernetes returns the path of the binary.
func Kubernetes() (string, error) {
	if path := os.Getenv(KubernetesVariable); path != "" {
		return path, nil
	}

	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("failed to find the running binary: %w", err)
	}

	path := filepath.Join(filepath.Dir(self), "kubernetes")
	if _, err = os.Stat(path); err != nil {
		return "", fmt.Errorf("failed to find the programs of Kubernetes: build them with hack/kubernetes/build.sh: %w", err)
	}

	return path, nil
}

func startKubernetes(name Name, folder, log string, args ...string) (*Process, error) {
	path, err := Kubernetes()
	if err != nil {
		return nil, err
	}

	return StartProgram(path, folder, log, nil, append([]string{string(name)}, args...)...)
}

// startKubelet starts a machine's kubelet.
func startKubelet(folder, log string, args ...string) (machine.Process, error) {
	return startKubernetes(Kubelet, folder, log, args...)
}
