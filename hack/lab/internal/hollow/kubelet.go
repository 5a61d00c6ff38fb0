// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package hollow runs the kubelet's own code without a machine under it.
//
// Everything that talks to the API server is real: registration, heartbeats,
// pod admission, the status manager, the node shutdown manager. What reaches
// down to the kernel is not: the container runtime, cgroups, mounts and
// cadvisor are the stand-ins that kubernetes keeps for its own scale tests.
package hollow

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
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

// MaxPods is the kubelet's default.
const MaxPods = 110

// certificateInterval is how often the kubelet looks for a new certificate.
const certificateInterval = time.Second

// Config says how to run a kubelet.
type Config struct {
	// NodeName is the name to register.
	NodeName string
	// BootID is what the machine says about the current boot.
	BootID string
	// Root is the kubelet's folder, /var/lib/kubelet on a machine.
	Root string
	// LogRoot is where the pods' log folders go, /var/log/pods on a machine.
	LogRoot string
	// Address is the IP address to listen on and to register.
	Address string
	// Port is the kubelet's port; it serves plain HTTP here.
	Port int
	// ReadOnlyPort serves /healthz and /pods.
	ReadOnlyPort int
	// ShutdownGracePeriod and ShutdownGracePeriodCriticalPods are the settings
	// of the kubelet with these names.
	ShutdownGracePeriod             time.Duration
	ShutdownGracePeriodCriticalPods time.Duration
	// Labels are put on the Node object when it is registered.
	Labels map[string]string
	// Images are those whose containers run for real, by name.
	Images map[string]Program
	// StaticPods is the folder of static pods, StaticPodURL where there is a list of them; empty for none.
	StaticPods, StaticPodURL string
	// NetworkConfig is the file without which the runtime's network is not ready,
	// and so the node is not Ready; empty for a network that always is.
	NetworkConfig string
	// Devices are extended resources, by name.
	Devices map[string]Device
}

// Start starts a kubelet which uses the client configuration. Nothing in the
// kubelet can be waited for: it ends with the process.
func Start(ctx context.Context, config Config, client *rest.Config) error {
	server, err := config.server()
	if err != nil {
		return err
	}

	deps, err := config.dependencies(server, client)
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
	main.StartGarbageCollection(ctx)

	go main.Run(ctx, deps.PodConfig.Updates())
	go main.ListenAndServe(ctx, &server.KubeletConfiguration, deps.TLSConfig, deps.Auth, deps.TracerProvider)
	go main.ListenAndServeReadOnly(ctx, net.ParseIP(config.Address), uint(config.ReadOnlyPort), deps.TracerProvider)

	return nil
}

// newKubelet passes the address as host name. The kubelet refuses a loopback
// address as --node-ip and otherwise looks for the interface of the default
// route; a host name that is an address it takes as it is. The label with the
// host name is set to the node's name in turn.
func newKubelet(ctx context.Context, config Config, server *options.KubeletServer, deps *kubelet.Dependencies) (kubelet.Bootstrap, error) {
	return kubelet.NewMainKubelet(
		ctx,
		&server.KubeletConfiguration,
		deps,
		&server.ContainerRuntimeOptions,
		config.Address,
		types.NodeName(config.NodeName),
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

// server returns the kubelet's defaults with what a lab has to change.
func (config Config) server() (*options.KubeletServer, error) {
	flags := options.NewKubeletFlags()
	flags.RootDirectory = config.Root
	flags.CertDirectory = filepath.Join(config.Root, "pki")
	flags.MinimumGCAge.Duration = time.Minute
	flags.MaxContainerCount = 100
	flags.MaxPerPodContainerCount = 2
	flags.NodeLabels[corev1.LabelHostname] = config.NodeName

	maps.Copy(flags.NodeLabels, config.Labels)

	settings, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, fmt.Errorf("failed to default kubelet configuration: %w", err)
	}

	settings.Address = config.Address
	settings.Port = int32(config.Port)
	settings.ReadOnlyPort = int32(config.ReadOnlyPort)
	settings.StaticPodPath = config.StaticPods
	settings.StaticPodURL = config.StaticPodURL
	settings.PodLogsDir = config.LogRoot
	settings.VolumePluginDir = filepath.Join(config.Root, "volume-plugins")
	settings.ContainerRuntimeEndpoint = "unix://" + filepath.Join(config.Root, "no-cri.sock")
	settings.ProviderID = "lab://" + config.NodeName
	settings.MaxPods = MaxPods
	settings.MaxOpenFiles = 4096
	settings.ShutdownGracePeriod.Duration = config.ShutdownGracePeriod
	settings.ShutdownGracePeriodCriticalPods.Duration = config.ShutdownGracePeriodCriticalPods
	settings.CgroupsPerQOS = false
	settings.EnforceNodeAllocatable = []string{}
	settings.EnableControllerAttachDetach = false
	settings.HairpinMode = kubeletconfig.HairpinNone
	settings.ResolverConfig = ""

	for _, folder := range []string{settings.PodLogsDir, settings.VolumePluginDir} {
		if err = os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("failed to create folder %q: %w", folder, err)
		}
	}

	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *settings}, nil
}

func (config Config) dependencies(server *options.KubeletServer, restConfig *rest.Config) (*kubelet.Dependencies, error) {
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

	runtime := newRuntime(config.Images, config.NetworkConfig)

	hollow := kubemark.NewHollowKubelet(
		&server.KubeletFlags,
		settings,
		client,
		heartbeatClient,
		&machineInfo{bootID: config.BootID},
		newImages(),
		runtime,
		newContainers(runtime, config.Devices),
	)

	return hollow.KubeletDeps, nil
}
