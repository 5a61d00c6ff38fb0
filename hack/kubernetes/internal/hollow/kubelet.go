// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package hollow runs the kubelet's own code without a machine under it.
//
// Everything that talks to the API server is real: registration, heartbeats,
// pod admission, the status manager, the node shutdown manager, the CRI. What
// reaches down to the kernel is not: cgroups, mounts and cadvisor are the
// stand-ins that Kubernetes keeps for its own scale tests. The container runtime
// is somebody else's, at the other end of a unix socket.
package hollow

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubemark"
)

// certificateInterval is how often the kubelet looks for a new certificate.
const certificateInterval = time.Second

// config says how to run a kubelet, besides what is in its configuration file.
type config struct {
	// nodeName is the name to register.
	nodeName string
	// nodeAddress is the IP address to register, on which nobody needs to listen.
	nodeAddress string
	// root is the kubelet's folder, /var/lib/kubelet on a machine.
	root string
	// labels are put on the Node object when it is registered.
	labels map[string]string
	// bootID is what the machine says about the current boot.
	bootID string
	// devices are extended resources, with the time from which on they can be
	// allocated.
	devices map[string]time.Time
	// settings are those of the configuration file.
	settings *kubeletconfig.KubeletConfiguration
}

// start starts a kubelet which uses the client configuration. Nothing in the
// kubelet can be waited for: it ends with the process.
func start(ctx context.Context, config config, client *rest.Config) error {
	server := config.server()

	deps, err := config.dependencies(ctx, server, client)
	if err != nil {
		return err
	}

	// The kubelet's own certificate manager closes its connections when it has
	// rotated the certificate. There is none here; the client has to look at the
	// file, which it does every five minutes unless told otherwise.
	transport.CertCallbackRefreshDuration = certificateInterval

	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true})

	main, err := newKubelet(ctx, config, server, deps)
	if err != nil {
		return fmt.Errorf("failed to create kubelet: %w", err)
	}

	main.BirthCry()
	run(ctx, main, server, deps)

	return nil
}

// newKubelet passes the address as host name. The kubelet refuses a loopback
// address as --node-ip and otherwise looks for the interface of the default
// route; a host name that is an address it takes as it is. The label with the
// host name is set to the node's name in turn.
func newKubelet(ctx context.Context, config config, server *options.KubeletServer, deps *kubelet.Dependencies) (kubelet.Bootstrap, error) {
	return kubelet.NewMainKubelet(
		ctx,
		&server.KubeletConfiguration,
		deps,
		&server.ContainerRuntimeOptions,
		config.nodeAddress,
		types.NodeName(config.nodeName),
		nil,
		server.ProviderID,
		server.CloudProvider,
		server.CertDirectory,
		server.RootDirectory,
		server.PodLogsDir,
		server.ImageCredentialProviderConfigPath,
		server.ImageCredentialProviderBinDir,
		server.RegisterNode,
		server.RegisterWithTaints,
		server.AllowedUnsafeSysctls,
		server.ExperimentalMounterPath,
		server.KernelMemcgNotification,
		server.ExperimentalNodeAllocatableIgnoreEvictionThreshold,
		server.MinimumGCAge,
		server.MaxPerPodContainerCount,
		server.MaxContainerCount,
		server.NodeLabels,
		server.NodeStatusMaxImages,
		false,
	)
}

// server returns the settings, with the defaults of the flags and what the
// stand-ins need of them.
func (config config) server() *options.KubeletServer {
	flags := options.NewKubeletFlags()
	flags.RootDirectory = config.root
	flags.CertDirectory = filepath.Join(config.root, "pki")
	flags.MinimumGCAge.Duration = time.Minute
	flags.MaxContainerCount = 100
	flags.MaxPerPodContainerCount = 2
	flags.NodeLabels[corev1.LabelHostname] = config.nodeName

	maps.Copy(flags.NodeLabels, config.labels)

	settings := config.settings.DeepCopy()
	settings.CgroupsPerQOS = false
	settings.EnforceNodeAllocatable = []string{}
	settings.EnableControllerAttachDetach = false
	settings.HairpinMode = kubeletconfig.HairpinNone
	settings.ResolverConfig = ""

	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *settings}
}

func (config config) dependencies(ctx context.Context, server *options.KubeletServer, restConfig *rest.Config) (*kubelet.Dependencies, error) {
	settings := &server.KubeletConfiguration

	ordinary := rest.CopyConfig(restConfig)
	ordinary.QPS = float32(settings.KubeAPIQPS)
	ordinary.Burst = int(settings.KubeAPIBurst)

	client, err := kubernetes.NewForConfig(ordinary)
	if err != nil {
		return nil, fmt.Errorf("failed to create client: %w", err)
	}

	heartbeat := rest.CopyConfig(restConfig)
	heartbeat.QPS = -1
	heartbeat.Timeout = min(settings.NodeStatusUpdateFrequency.Duration, time.Duration(settings.NodeLeaseDurationSeconds)*time.Second)

	heartbeatClient, err := kubernetes.NewForConfig(heartbeat)
	if err != nil {
		return nil, fmt.Errorf("failed to create heartbeat client: %w", err)
	}

	hollow := kubemark.NewHollowKubelet(
		&server.KubeletFlags,
		settings,
		client,
		heartbeatClient,
		&machineInfo{bootID: config.bootID},
		nil, // the runtime and its images
		nil, // are connected to below
		newContainers(config.devices),
	)

	if err = connectRuntime(ctx, settings, hollow.KubeletDeps); err != nil {
		return nil, fmt.Errorf("failed to connect to the container runtime: %w", err)
	}

	return hollow.KubeletDeps, nil
}
