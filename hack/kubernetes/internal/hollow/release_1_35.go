// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build k8s1.35

package hollow

import (
	"context"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletsettings "k8s.io/kubernetes/pkg/kubelet/apis/config"
	podconfig "k8s.io/kubernetes/pkg/kubelet/config"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

// run has the kubelet of 1.35 do its work, until the process ends.
func run(ctx context.Context, main kubelet.Bootstrap, server *options.KubeletServer, deps *kubelet.Dependencies) {
	main.StartGarbageCollection()

	go main.Run(deps.PodConfig.Updates())
	go main.ListenAndServe(ctx, &server.KubeletConfiguration, deps.TLSOptions, deps.Auth, deps.TracerProvider)
	go main.ListenAndServeReadOnly(ctx, net.ParseIP(server.Address), uint(server.ReadOnlyPort), deps.TracerProvider)
}

// connectRuntime connects the kubelet to its container runtime.
func connectRuntime(_ context.Context, settings *kubeletsettings.KubeletConfiguration, deps *kubelet.Dependencies) error {
	return kubelet.PreInitRuntimeService(settings, deps)
}

// newSources returns the kubelet's sources of pods, none yet.
func newSources() *podconfig.PodConfig {
	return podconfig.NewPodConfig(podconfig.PodConfigNotificationIncremental, &record.FakeRecorder{}, observer{})
}

// addFolder adds a folder to the sources.
func addFolder(ctx context.Context, sources *podconfig.PodConfig, path string, node types.NodeName, period time.Duration) {
	podconfig.NewSourceFile(klog.FromContext(ctx), path, node, period, sources.Channel(ctx, kubetypes.FileSource))
}

// addList adds a list that is served over HTTP.
func addList(ctx context.Context, sources *podconfig.PodConfig, url string, node types.NodeName, period time.Duration) {
	podconfig.NewSourceURL(klog.FromContext(ctx), url, nil, node, period, sources.Channel(ctx, kubetypes.HTTPSource))
}
