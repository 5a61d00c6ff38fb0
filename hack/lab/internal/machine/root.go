// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Root is a node's root folder. The files in it are where Talos keeps them.
type Root string

// maxSocketPath is the size of sun_path in Linux, with the final zero byte.
const maxSocketPath = 107

// Kubeconfig is the kubelet's kubeconfig.
func (root Root) Kubeconfig() string { return root.path("etc", "kubernetes", "kubeconfig-kubelet") }

// Kubelet is the kubelet's folder.
func (root Root) Kubelet() string { return root.path("var", "lib", "kubelet") }

// KubeletConfig is the kubelet's configuration.
func (root Root) KubeletConfig() string { return root.path("etc", "kubernetes", "kubelet.yaml") }

// KubeletPID is the file with the process id of the kubelet while that runs.
func (root Root) KubeletPID() string { return filepath.Join(root.run(), "kubelet.pid") }

// RuntimeSocket is where the container runtime serves the kubelet.
func (root Root) RuntimeSocket() string {
	return filepath.Join(root.run(), "containerd", "containerd.sock")
}

// ClientCertificate is the kubelet's current client certificate with its key:
// a link to a file that bears the time of its writing in its name.
func (root Root) ClientCertificate() string {
	return filepath.Join(root.Kubelet(), "pki", "kubelet-client-current.pem")
}

// PodLogs is where the pods' logs go.
func (root Root) PodLogs() string { return root.path("var", "log", "pods") }

// BootID is where Linux says which boot this is.
func (root Root) BootID() string { return root.path("proc", "sys", "kernel", "random", "boot_id") }

// Temp is the node's folder for temporary files, emptied by a boot.
func (root Root) Temp() string { return root.path("tmp") }

// APISocket serves the API of the node: its COSI resources and its version.
func (root Root) APISocket() string { return filepath.Join(root.run(), "machine.sock") }

// BusSocket is the D-Bus on which the machine is logind to the kubelet.
// It is where the system's bus is.
func (root Root) BusSocket() string { return filepath.Join(root.run(), "dbus", "system_bus_socket") }

// NetworkConfig is what a CNI leaves on the node when it is installed. Without
// it the node is not Ready.
func (root Root) NetworkConfig() string { return root.path("etc", "cni", "net.d", "10-lab.conflist") }

// RebootCommand reboots the machine as the command of that name does, and
// returns before it is down.
func (root Root) RebootCommand() string { return root.path("sbin", "reboot") }

// run holds what belongs to one boot.
func (root Root) run() string { return root.path("run") }

// Create makes the folders of a node that has never booted.
func (root Root) Create() error {
	longest := filepath.Join(root.Kubelet(), "pod-resources", "kubelet.sock")
	if len(longest) > maxSocketPath {
		return fmt.Errorf("failed to create %q: the path of its sockets would have %d characters, more than the %d of a unix socket; choose a shorter folder for temporary files or a shorter name",
			string(root), len(longest), maxSocketPath)
	}

	for _, folder := range []string{
		filepath.Dir(root.Kubeconfig()),
		filepath.Dir(root.ClientCertificate()),
		root.PodLogs(),
		filepath.Dir(root.BootID()),
		filepath.Dir(root.clock()),
		filepath.Dir(root.NetworkConfig()),
		filepath.Dir(root.RebootCommand()),
	} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("failed to create folder %q: %w", folder, err)
		}
	}

	// Programs that look into the root folder find it as it is on any host.
	if err := os.Symlink("/run", root.path("var", "run")); err != nil {
		return fmt.Errorf("failed to link folder: %w", err)
	}

	return root.InstallNetwork()
}

// InstallNetwork does what a CNI does.
func (root Root) InstallNetwork() error {
	if err := os.WriteFile(root.NetworkConfig(), []byte("{}\n"), 0o600); err != nil {
		return fmt.Errorf("failed to write configuration of the network: %w", err)
	}

	return nil
}

// RemoveNetwork undoes InstallNetwork.
func (root Root) RemoveNetwork() error {
	if err := os.Remove(root.NetworkConfig()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to remove configuration of the network: %w", err)
	}

	return nil
}

// boot does to the files what a boot does: it empties what lives in memory,
// and writes the new boot's id and time.
func (root Root) boot(bootID string, at time.Time) error {
	for _, folder := range []string{root.run(), root.Temp()} {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("failed to empty folder %q: %w", folder, err)
		}
	}

	for _, folder := range []string{filepath.Dir(root.BusSocket()), root.Temp()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("failed to create folder %q: %w", folder, err)
		}
	}

	if err := os.WriteFile(root.BootID(), []byte(bootID+"\n"), 0o600); err != nil {
		return fmt.Errorf("failed to write boot id: %w", err)
	}

	if err := os.WriteFile(root.path("proc", "stat"), fmt.Appendf(nil, "btime %d\n", at.Unix()), 0o600); err != nil {
		return fmt.Errorf("failed to write time of boot: %w", err)
	}

	command := fmt.Appendf(nil, "#!/bin/sh\nexec kill -HUP %d\n", os.Getpid())

	if err := os.WriteFile(root.RebootCommand(), command, 0o700); err != nil { //nolint:gosec // it is a program
		return fmt.Errorf("failed to write command for reboots: %w", err)
	}

	return nil
}

// LateBootID is what rebound reads in place of BootID in a boot whose id is
// hidden. There is no such file until ShowBootID.
func (root Root) LateBootID() string { return filepath.Join(root.run(), "boot_id") }

// ShowBootID writes what was hidden.
func (root Root) ShowBootID(bootID string) error {
	if err := os.WriteFile(root.LateBootID(), []byte(bootID+"\n"), 0o600); err != nil {
		return fmt.Errorf("failed to write boot id: %w", err)
	}

	return nil
}

// WriteClientCertificate writes a certificate with its key and turns the link
// to the current one over to it, in the way a kubelet rotates its certificate.
func (root Root) WriteClientCertificate(now time.Time, certificate, key []byte) error {
	current := root.ClientCertificate()
	written := filepath.Join(filepath.Dir(current), "kubelet-client-"+now.Format("2006-01-02-15-04-05.000000000")+".pem")

	if err := os.WriteFile(written, append(append([]byte{}, certificate...), key...), 0o600); err != nil {
		return fmt.Errorf("failed to write client certificate: %w", err)
	}

	next := current + ".next"

	if err := os.Symlink(written, next); err != nil {
		return fmt.Errorf("failed to link client certificate: %w", err)
	}

	if err := os.Rename(next, current); err != nil {
		return fmt.Errorf("failed to replace client certificate: %w", err)
	}

	return nil
}

func (root Root) path(elements ...string) string {
	return filepath.Join(append([]string{string(root)}, elements...)...)
}
