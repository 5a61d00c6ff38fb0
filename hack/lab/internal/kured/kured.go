// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package kured runs kured outside a cluster, one process for each node of a
// lab, as what rebound's coordinator is compared with.
//
// Nothing of kured is in this repository: who wants the comparison has a
// checkout of it, and it is built with its own module there. It runs unchanged.
// It finds its API server and its credentials where a pod has them, and it
// enters the mount namespace of process 1 to reboot, so each process gets
// namespaces of its own in which those are at hand. That needs unshare and
// nsenter of util-linux, and a kernel that lets the user make namespaces.
package kured

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is kured, built.
type Program struct {
	// Path is where the binary is.
	Path string
	// Version is what git calls the checkout.
	Version string
}

// The tools of util-linux. Kured calls nsenter by this path.
const (
	nsenterPath = "/usr/bin/nsenter"
	unshareName = "unshare"
)

// Check says early what would keep kured from running at all.
func Check(ctx context.Context, checkout string) error {
	if _, err := os.Stat(filepath.Join(checkout, "cmd", "kured")); err != nil {
		return fmt.Errorf("no checkout of kured: %w", err)
	}

	if _, err := exec.LookPath(nsenterPath); err != nil {
		return fmt.Errorf("kured needs nsenter to reboot: %w", err)
	}

	return CheckNamespaces(ctx)
}

// CheckNamespaces says what keeps this user from giving a program namespaces of
// its own.
func CheckNamespaces(ctx context.Context) error {
	if output, err := exec.CommandContext(ctx, unshareName, append(namespaces(), "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("kured needs namespaces of its own: %w: %s", err, output)
	}

	return nil
}

// Build builds kured from the checkout, into the folder.
func Build(ctx context.Context, checkout, folder string) (Program, error) {
	version, err := output(ctx, checkout, "git", "describe", "--tags", "--always", "--dirty")
	if err != nil {
		return Program{}, fmt.Errorf("failed to find the version of kured: %w", err)
	}

	path, err := filepath.Abs(filepath.Join(folder, "kured"))
	if err != nil {
		return Program{}, fmt.Errorf("failed to find %q: %w", folder, err)
	}

	if _, err = output(ctx, checkout, "go", "build", "-o", path, "./cmd/kured"); err != nil {
		return Program{}, fmt.Errorf("failed to build kured: %w", err)
	}

	return Program{Path: path, Version: version}, nil
}

// output runs a command in the folder and returns what it wrote, without the
// last line break. The error has what it complained about.
func output(ctx context.Context, folder string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder

	text, err := cmd.Output()

	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%w: %s", err, exit.Stderr)
	}

	return strings.TrimSpace(string(text)), err
}
