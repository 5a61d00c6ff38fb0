// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const (
	// busFolder is where the D-Bus of every host with systemd listens. It is mounted as a folder: a bus that is restarted
	// makes its socket anew.
	busFolder = "/run/dbus"
	// busVariable is where clients of the D-Bus find its address (D-Bus Specification, "System message bus").
	busVariable = "DBUS_SYSTEM_BUS_ADDRESS"
	busAddress  = "unix:path=" + busFolder + "/system_bus_socket"
)

// hidden are folders of which a unit with ProtectHome= and PrivateTmp= sees nothing.
var hidden = []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"}

// IsHidden tells whether the unit does not see a file of the host.
func IsHidden(name string) bool {
	return slices.ContainsFunc(hidden, func(folder string) bool { return strings.HasPrefix(name, folder) })
}

// checkReboots refuses what the agent could not do where it runs.
func (options Options) checkReboots(on platform.Platform) error {
	reboots := options.Reboots

	if err := reboots.Check(on.Name); err != nil || !reboots.Enabled {
		return err
	}

	switch {
	case on.Name == platform.Systemd && IsHidden(reboots.Sentinel):
		return fmt.Errorf("failed to use --reboot-sentinel: a unit does not see %s", reboots.Sentinel)
	case on.Name != platform.Systemd && (reboots.Command != "" || reboots.SentinelCommand != ""):
		return fmt.Errorf("--reboot-command and --reboot-sentinel-command are for systemd: on %s the agent is a static pod, which has no programs of the host", on.Name)
	case on.Name != platform.Systemd && slices.Contains([]string{runFolder, busFolder, options.kubeconfig(on)}, path.Dir(reboots.Sentinel)):
		return fmt.Errorf("failed to use --reboot-sentinel: %s is what the agent needs besides", path.Dir(reboots.Sentinel))
	default:
		return nil
	}
}

// rebootArgs are the arguments of the agent about reboots.
func (options Options) rebootArgs() []string {
	if !options.Reboots.Enabled {
		return nil
	}

	args := []string{"--reboots"}

	if options.Reboots.Sentinel != platform.RebootSentinel {
		args = append(args, "--reboot-sentinel="+options.Reboots.Sentinel)
	}

	if options.Reboots.SentinelCommand != "" {
		args = append(args, "--reboot-sentinel-command="+options.Reboots.SentinelCommand)
	}

	if options.Reboots.Command != "" {
		args = append(args, "--reboot-command="+options.Reboots.Command)
	}

	return args
}

// letReboot gives the pod what it needs to see the sentinel and to reach logind: the folder of the one, since the file comes
// and goes, and the D-Bus. Whoever is root there is as good as root on the host, so it is more than the pod has without.
func letReboot(pod *corev1.Pod, on platform.Platform, reboots platform.Reboots) {
	container := &pod.Spec.Containers[0]

	add := func(name, path string, propagation *corev1.MountPropagationMode) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: new(corev1.HostPathDirectory)}},
		})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
			Name: name, MountPath: path, ReadOnly: true, MountPropagation: propagation,
		})
	}

	add("dbus", busFolder, nil)
	container.Env = append(container.Env, corev1.EnvVar{Name: busVariable, Value: busAddress})

	// The profile of a runtime lets nobody speak to a D-Bus that asks AppArmor, as that of Ubuntu does
	// (apparmor.d(5), "DBus rules"; containerd contrib/apparmor/template.go has none).
	pod.Spec.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}

	folder := path.Dir(reboots.Sentinel)
	if reboots.Sentinel == "" || slices.Contains(on.PKI, folder) {
		return
	}

	// /run has the mounts of all other containers below it, which would otherwise last as long as this pod does.
	add("sentinel", folder, new(corev1.MountPropagationHostToContainer))
}
