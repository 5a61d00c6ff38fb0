// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/talos-rebound/rebound/internal/agent/install"
	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// InstallOptions are what rebound install may be given.
type InstallOptions struct {
	AgentOptions

	// Root is the folder of an image; empty means this host.
	Root string
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// Install writes the static pod or the unit on this host, and makes systemd run the unit.
func Install(ctx context.Context, options InstallOptions, out io.Writer) error {
	root, err := imageRoot(options.Root)
	if err != nil {
		return err
	}

	options.Root = root

	on, err := options.platform()
	if err != nil {
		return err
	}

	var content []byte

	// On Talos nothing of it would be used, so nothing of it has to be right.
	if on.Name != platform.Talos {
		if on.Name == platform.Systemd {
			if err = options.findBinary(); err != nil {
				return err
			}
		}

		if content, err = options.render(on); err != nil {
			return err
		}

		if err = options.joined(on); err != nil {
			return err
		}
	}

	host := install.Host{Root: options.Root, Systemctl: install.Systemctl, DryRun: options.DryRun}

	change, err := host.Install(ctx, on, content)
	if err != nil {
		return installError(err)
	}

	report(out, change, host.Path(on), options.DryRun)

	if change == install.Unchanged || options.DryRun || options.Root != "" {
		return nil
	}

	if on.Name == platform.Systemd {
		fmt.Fprintf(out, "next: journalctl --unit %s\n", install.Unit)
	} else {
		fmt.Fprintf(out, "next: kubectl --namespace kube-system get pods --selector app.kubernetes.io/name=%s --output wide\n", manifest.Name)
	}

	return nil
}

// imageRoot is the folder of an image from wherever it is looked at: systemctl wants it so.
func imageRoot(root string) (string, error) {
	if root == "" {
		return "", nil
	}

	return filepath.Abs(root)
}

// platform is the one that was named, or that of the host.
func (options InstallOptions) platform() (platform.Platform, error) {
	switch name := platform.Name(options.Platform); {
	case name != platform.Auto:
		return platform.Lookup(name, options.DataDir)
	case options.DataDir != "":
		return platform.Platform{}, fmt.Errorf("--data-dir says where %[1]s or %[2]s is: give --platform %[1]s or --platform %[2]s as well", platform.K3s, platform.RKE2)
	default:
		return platform.Detect(options.Root)
	}
}

// findBinary finds what the unit is to run.
func (options *InstallOptions) findBinary() error {
	if options.Binary == "" {
		options.Binary = manifest.DefaultBinary

		if options.Root == "" {
			own, err := os.Executable()
			if err != nil {
				return fmt.Errorf("failed to find this binary: %w; say where it is with --binary", err)
			}

			options.Binary = own
		}
	}

	if manifest.IsHidden(options.Binary) {
		return fmt.Errorf("a unit cannot run %s: copy it to %s and install with that one", options.Binary, manifest.DefaultBinary)
	}

	info, err := os.Stat(filepath.Join(options.Root, options.Binary))
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("there is no program at %s: copy rebound there first, or say where it is with --binary",
			filepath.Join(options.Root, options.Binary))
	}

	return nil
}

// joined tells whether this is a node of that platform. An image cannot be one yet.
func (options InstallOptions) joined(on platform.Platform) error {
	file := on.Kubeconfig

	switch {
	case options.Root != "":
		return nil
	case options.Kubeconfig != "":
		file = options.Kubeconfig
	case options.ClientCert != "":
		file = options.ClientCert
	}

	switch _, err := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s: is this a node with %s that has joined its cluster? "+
			"If so say where it is with --kubeconfig; with --root / it is installed before the node joins", file, on.Name)
	case err != nil:
		return installError(err)
	default:
		return nil
	}
}

// UninstallOptions are what rebound uninstall may be given.
type UninstallOptions struct {
	// Platform is the name of the platform; auto takes away whatever is there at the default places.
	Platform string
	// DataDir is the data directory of K3s and RKE2; empty means the default.
	DataDir string
	// Root is the folder of an image; empty means this host.
	Root string
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// Uninstall takes away what Install wrote.
func Uninstall(ctx context.Context, options UninstallOptions, out io.Writer) error {
	root, err := imageRoot(options.Root)
	if err != nil {
		return err
	}

	platforms, err := options.platforms()
	if err != nil {
		return err
	}

	var errs []error

	host := install.Host{Root: root, Systemctl: install.Systemctl, DryRun: options.DryRun}
	found := false

	for _, on := range platforms {
		change, uninstallErr := host.Uninstall(ctx, on)

		switch {
		case uninstallErr != nil:
			errs = append(errs, installError(uninstallErr))
		case change != install.Unchanged:
			report(out, change, host.Path(on), options.DryRun)

			found = true
		}
	}

	if !found && len(errs) == 0 {
		fmt.Fprintln(out, "the agent is not installed, nothing was changed")
	}

	return errors.Join(errs...)
}

// platforms are those whose places are looked at. What tells the platform of a host may be gone when it is cleaned up.
func (options UninstallOptions) platforms() ([]platform.Platform, error) {
	if options.Platform != string(platform.Auto) || options.DataDir != "" {
		on, err := InstallOptions{AgentOptions: AgentOptions{Platform: options.Platform, DataDir: options.DataDir}}.platform()

		return []platform.Platform{on}, err
	}

	var platforms []platform.Platform

	for _, name := range platform.Names()[1:] {
		on, err := platform.Lookup(platform.Name(name), "")
		if err != nil {
			return nil, err
		}

		if on.Name != platform.Talos {
			platforms = append(platforms, on)
		}
	}

	return platforms, nil
}

func report(out io.Writer, change install.Change, path string, dryRun bool) {
	switch {
	case dryRun && change != install.Unchanged:
		fmt.Fprintf(out, "%s would be %s\n", path, change)
	case change == install.Unchanged:
		fmt.Fprintf(out, "%s is %s\n", path, change)
	default:
		fmt.Fprintf(out, "%s was %s\n", path, change)
	}
}

// installError says which errors trying again may help against.
func installError(err error) error {
	var refused *install.RefusedError

	switch {
	case errors.As(err, &refused):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run it as root", err)
	default:
		return failure{err}
	}
}
