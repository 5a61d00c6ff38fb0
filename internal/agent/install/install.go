// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const (
	// unitFolder is where units of the host's administrator are.
	unitFolder = "/etc/systemd/system"
	// Unit is the name of the agent's unit.
	Unit = "rebound-agent.service"

	podFile = "rebound.yaml"

	// The manifest names no secret, but the kubelet's other ones are nobody else's business either.
	podMode    = 0o600
	unitMode   = 0o644
	folderMode = 0o755
)

// Change is what became of the file, or would have become.
type Change string

const (
	// Created means that it was not there.
	Created Change = "created"
	// Updated means that it was there with other content.
	Updated Change = "updated"
	// Unchanged means that there was nothing to do.
	Unchanged Change = "unchanged"
	// Started means that the unit was there as it should be, but was not enabled or did not run.
	Started Change = "started"
	// Removed means that it was there.
	Removed Change = "removed"
)

// RefusedError says why nothing was done. Trying again does not help, changing what it names does.
type RefusedError struct{ reason string }

func (err *RefusedError) Error() string { return err.reason }

// Host is where to install.
type Host struct {
	// Root is the folder of an image that does not run: everything is below it, folders that are missing are made, and
	// nothing is started. Empty means this host.
	Root string
	// Systemctl runs systemctl. Its error has what systemctl said.
	Systemctl func(ctx context.Context, args ...string) error
	// UnitFolder is where units are; empty means that of systemd.
	UnitFolder string
	// DryRun only says what would be done.
	DryRun bool
}

// Path is where a platform has the file, on the host.
func (host Host) Path(on platform.Platform) string { return path.Join(host.place(on)) }

func (host Host) place(on platform.Platform) (folder, name string) {
	switch {
	case on.Name != platform.Systemd:
		return on.Manifests, podFile
	case host.UnitFolder != "":
		return host.UnitFolder, Unit
	default:
		return unitFolder, Unit
	}
}

// Install writes what was rendered for the platform, and makes systemd run it where it is a unit. Installing again
// changes nothing. It refuses a file of somebody else, and Talos, which has no such folder.
func (host Host) Install(ctx context.Context, on platform.Platform, content []byte) (change Change, err error) {
	if on.Manifests == "" && on.Name != platform.Systemd {
		return "", refused("a node with %s takes no files: use rebound manifest --platform %s with talosctl patch machineconfig", on.Name, on.Name)
	}

	target, err := host.open(on, !host.DryRun)
	if err != nil || target == nil {
		return Created, err // a folder that a dry run did not make
	}

	defer func() { err = errors.Join(err, target.folder.Close()) }()

	old, err := target.read("move it away first")
	if err != nil {
		return "", err
	}

	switch {
	case bytes.Equal(old, content):
		return host.ensureRunning(ctx, on)
	case old == nil:
		change = Created
	default:
		change = Updated
	}

	if host.DryRun {
		return change, nil
	}

	if err = target.write(content); err != nil {
		return "", err
	}

	if on.Name == platform.Systemd {
		if err = host.start(ctx, change); err != nil {
			return "", errors.Join(err, host.takeBack(context.WithoutCancel(ctx), target, old))
		}
	}

	return change, nil
}

// Uninstall takes away what Install wrote. Where nothing is installed it changes nothing. It refuses a file of somebody
// else.
func (host Host) Uninstall(ctx context.Context, on platform.Platform) (change Change, err error) {
	if on.Manifests == "" && on.Name != platform.Systemd {
		return "", refused("a node with %s has no such file: take the pod out of its machine config with talosctl edit machineconfig", on.Name)
	}

	target, err := host.open(on, false)
	if err != nil || target == nil {
		return Unchanged, err
	}

	defer func() { err = errors.Join(err, target.folder.Close()) }()

	switch old, readErr := target.read("it stays"); {
	case readErr != nil:
		return "", readErr
	case old == nil:
		return Unchanged, nil
	case host.DryRun:
		return Removed, nil
	}

	// A unit is forgotten while its file is there: afterwards systemd would not know what to stop.
	if on.Name == platform.Systemd {
		if err = host.stop(ctx); err != nil {
			return "", err
		}
	}

	if err = target.remove(); err != nil {
		return "", err
	}

	if on.Name == platform.Systemd && host.Root == "" {
		err = host.Systemctl(ctx, "daemon-reload")
	}

	return Removed, err
}

// open opens the file's folder; nil if it is not there and shall not be made. On a running host the folder of static
// pods is made as well: K3s does so only when it starts.
func (host Host) open(on platform.Platform, create bool) (*target, error) {
	folder, name := host.place(on)

	target := &target{name: name, path: path.Join(folder, name), mode: podMode}
	if on.Name == platform.Systemd {
		target.mode = unitMode
	}

	var err error

	if host.Root == "" {
		target.folder, err = openFolder(filepath.FromSlash(folder), create)
	} else {
		target.path = filepath.Join(host.Root, filepath.FromSlash(target.path))
		target.folder, err = openBelow(host.Root, filepath.FromSlash(folder), create)
	}

	if errors.Is(err, os.ErrNotExist) && !create {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("failed to open the folder of %q: %w", target.path, err)
	}

	return target, nil
}

func refused(format string, args ...any) error {
	return &RefusedError{reason: fmt.Sprintf(format, args...)}
}

// takeBack gives the host what it had. The error is what could not be taken back.
func (host Host) takeBack(ctx context.Context, target *target, old []byte) error {
	if old != nil {
		err := target.write(old)
		if err == nil && host.Root == "" {
			err = errors.Join(host.Systemctl(ctx, "daemon-reload"), host.Systemctl(ctx, "restart", Unit))
		}

		return wrap("failed to restore what was installed before", err)
	}

	// The error that led here is the one to tell: it may not even be enabled, and what made the first reload fail may make
	// this one fail. Without the file nothing is started at the next boot.
	_ = host.stop(ctx)

	err := target.remove()
	if err == nil && host.Root == "" {
		_ = host.Systemctl(ctx, "daemon-reload")
	}

	return wrap("failed to take the unit back", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}

	return fmt.Errorf("%s: %w", what, err)
}
