// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

var reboots = platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel}

// TestPodThatMayReboot holds that it has the D-Bus and the folder of the sentinel, and nothing else that another has not.
func TestPodThatMayReboot(t *testing.T) {
	t.Parallel()

	on := lookup(t, platform.Kubeadm)
	without := renderPod(t, on, manifest.Options{})
	pod := renderPod(t, on, manifest.Options{Reboots: reboots})
	container := &pod.Spec.Containers[0]

	assert.Contains(t, container.Args, "--reboots")
	assert.Contains(t, container.Env, corev1.EnvVar{Name: "DBUS_SYSTEM_BUS_ADDRESS", Value: "unix:path=/run/dbus/system_bus_socket"})
	assert.True(t, readable(pod, "/run/dbus/system_bus_socket"))
	assert.True(t, readable(pod, "/var/run/reboot-required"))
	assert.Equal(t, corev1.AppArmorProfileTypeUnconfined, pod.Spec.SecurityContext.AppArmorProfile.Type)

	last := container.VolumeMounts[len(container.VolumeMounts)-1]
	assert.Equal(t, "/var/run", last.MountPath)
	require.NotNil(t, last.MountPropagation)
	assert.Equal(t, corev1.MountPropagationHostToContainer, *last.MountPropagation, "it would keep the mounts of all other containers")

	// Without the four it is the same pod.
	pod.Spec.SecurityContext.AppArmorProfile = nil
	pod.Spec.Volumes = pod.Spec.Volumes[:len(without.Spec.Volumes)]
	container.VolumeMounts = container.VolumeMounts[:len(without.Spec.Volumes)]
	container.Env = container.Env[:1]
	container.Args = slices.DeleteFunc(container.Args, func(arg string) bool { return arg == "--reboots" })
	assert.Equal(t, without, pod)
}

func TestSentinelElsewhere(t *testing.T) {
	t.Parallel()

	on := lookup(t, platform.K3s)

	pod := renderPod(t, on, manifest.Options{Reboots: platform.Reboots{Enabled: true, Sentinel: "/srv/updates/reboot"}})
	assert.Contains(t, pod.Spec.Containers[0].Args, "--reboot-sentinel=/srv/updates/reboot")
	assert.True(t, readable(pod, "/srv/updates/reboot"))
	assert.False(t, readable(pod, platform.RebootSentinel))

	pod = renderPod(t, on, manifest.Options{Reboots: platform.Reboots{Enabled: true}})
	assert.Contains(t, pod.Spec.Containers[0].Args, "--reboot-sentinel=")
	assert.False(t, readable(pod, platform.RebootSentinel))

	in := platform.Reboots{Enabled: true, Sentinel: "/var/lib/rancher/k3s/agent/reboot"}
	pod = renderPod(t, on, manifest.Options{Reboots: in})
	assert.True(t, readable(pod, in.Sentinel))
}

func TestUnitThatMayReboot(t *testing.T) {
	t.Parallel()

	on := lookup(t, platform.Systemd)
	render := func(reboots platform.Reboots) string {
		text, err := manifest.Render(on, manifest.Options{Reboots: reboots})
		require.NoError(t, err)

		return string(text)
	}

	without := render(platform.Reboots{})
	assert.Equal(t, strings.Replace(without, "agent.sock\n", "agent.sock --reboots\n", 1), render(reboots), "it needs nothing besides")

	text := render(platform.Reboots{Enabled: true, Sentinel: "", SentinelCommand: "! needs-restarting -r", Command: "sleep 5; systemctl reboot"})
	assert.Contains(t, text, ` --reboots --reboot-sentinel= "--reboot-sentinel-command=! needs-restarting -r" "--reboot-command=sleep 5; systemctl reboot"`+"\n")
	assert.Contains(t, text, "\nOOMPolicy=continue\n", "a command that takes too much memory would stop the agent")
	assert.NotContains(t, without, "OOMPolicy")
}

func TestRebootsAreRefusedWhereTheyCannotWork(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		on      platform.Name
		reboots platform.Reboots
		want    string
	}{
		"on Talos":             {platform.Talos, reboots, "--reboots is not for talos"},
		"a command in a pod":   {platform.Kubeadm, platform.Reboots{Enabled: true, Command: "reboot"}, "a static pod, which has no programs of the host"},
		"a question in a pod":  {platform.K3s, platform.Reboots{Enabled: true, SentinelCommand: "true"}, "a static pod, which has no programs of the host"},
		"without being asked":  {platform.Systemd, platform.Reboots{Command: "reboot"}, "go with --reboots"},
		"what a unit misses":   {platform.Systemd, platform.Reboots{Enabled: true, Sentinel: "/tmp/reboot"}, "a unit does not see /tmp/reboot"},
		"the socket's folder":  {platform.RKE2, platform.Reboots{Enabled: true, Sentinel: "/run/rebound/reboot"}, "/run/rebound is what the agent needs besides"},
		"the bus's folder":     {platform.RKE2, platform.Reboots{Enabled: true, Sentinel: "/run/dbus/reboot"}, "/run/dbus is what the agent needs besides"},
		"below the kubeconfig": {platform.Kubeadm, platform.Reboots{Enabled: true, Sentinel: "/etc/kubernetes/kubelet.conf/x"}, "is what the agent needs besides"},
		"the root":             {platform.Kubeadm, platform.Reboots{Enabled: true, Sentinel: "/reboot"}, `"/" cannot be mounted`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := manifest.Render(lookup(t, tc.on), manifest.Options{Image: image, Reboots: tc.reboots})
			require.ErrorContains(t, err, tc.want)
		})
	}
}
