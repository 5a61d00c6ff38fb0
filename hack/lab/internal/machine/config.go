// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/cri"
)

// Config is what the lab tells a node about one boot.
type Config struct {
	// Name is the node's name.
	Name string `json:"name"`
	// Address is the node's IP address to all who look at it.
	Address string `json:"address"`
	// BootID is the id of this boot.
	BootID string `json:"bootID"`
	// Root is the node's root folder, which survives reboots.
	Root Root `json:"root"`
	// Log is the file that the kubelet logs to.
	Log string `json:"log"`
	// KubeletPort and HealthPort are the kubelet's ports; Talos checks the
	// kubelet's health on the second.
	KubeletPort int `json:"kubeletPort"`
	HealthPort  int `json:"healthPort"`
	// MetricsPort is where a machine with rebound serves its metrics.
	MetricsPort int `json:"metricsPort"`
	// ShutdownGracePeriod and ShutdownGracePeriodCriticalPods are settings of
	// the kubelet.
	ShutdownGracePeriod             time.Duration `json:"shutdownGracePeriod"`
	ShutdownGracePeriodCriticalPods time.Duration `json:"shutdownGracePeriodCriticalPods"`
	// Labels go to the Node object.
	Labels map[string]string `json:"labels,omitempty"`
	// Images are those whose containers run for real.
	Images map[string]cri.Program `json:"images,omitempty"`
	// StaticPods is the kubelet's folder of static pods. StaticPodList is a file
	// with a list of pods that the machine serves to the kubelet, as machined
	// does. Either may be empty.
	StaticPods    string `json:"staticPods,omitempty"`
	StaticPodList string `json:"staticPodList,omitempty"`
	// Devices are the node's extended resources. It has them from its start, and
	// they cannot be allocated until the time after the boot, as those of a plugin
	// whose driver is still loading.
	Devices map[string]time.Duration `json:"devices,omitempty"`
	// EtcdMembers is the file with the members of etcd that WriteEtcdMembers has
	// written; empty for a worker, which shows none.
	EtcdMembers string `json:"etcdMembers,omitempty"`
	// Rebound runs rebound's controllers on the node unless it is nil.
	Rebound *Rebound `json:"rebound,omitempty"`
}

// Write writes the configuration to path.
func (config Config) Write(path string) error {
	content, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode configuration of node %q: %w", config.Name, err)
	}

	if err = os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("failed to write configuration of node %q: %w", config.Name, err)
	}

	return nil
}

// ReadConfig reads what Write has written.
func ReadConfig(path string) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("failed to read node configuration: %w", err)
	}

	var config Config

	if err = json.Unmarshal(content, &config); err != nil {
		return Config{}, fmt.Errorf("failed to decode node configuration %q: %w", path, err)
	}

	return config, nil
}
