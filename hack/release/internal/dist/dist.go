// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package dist writes the folder of a release: binaries, images, manifests and their checksums. The same source gives the
// same bytes, wherever it lies and whoever builds it, with the same version of Go.
package dist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/release/internal/image"
	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

const (
	folderMode = 0o755
	fileMode   = 0o644

	source   = "https://github.com/talos-rebound/rebound"
	licenses = "MPL-2.0"
)

// Target is what a binary is built for.
type Target struct{ OS, Arch string }

// Targets are what is released: nodes run Linux, operators macOS as well.
func Targets() []Target {
	return []Target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}
}

// Options are what a release is made of.
type Options struct {
	// Source is the top of the repository.
	Source string
	// Out is the folder to write. A release in it is replaced once the new one is complete; anything else is refused.
	Out string
	// Revision is what the source is.
	Revision revision.Revision
	// Repository is where the image of rebound will be. That of the coordinator has "-coordinator" after it.
	Repository string
	// Dockerfiles has those for who has a container engine.
	Dockerfiles fs.FS
	// Targets are what to build for. This machine has to be one of them, because its binary renders the manifests.
	Targets []Target
}

// Write writes a release and names every file in log.
func Write(ctx context.Context, options Options, log io.Writer) (err error) {
	if !slices.Contains(options.Targets, host()) {
		return fmt.Errorf("cannot run what is built here: use a machine with one of %v, not %v", options.Targets, host())
	}

	for _, program := range programs {
		if _, err = program.reference(options); err != nil {
			return err
		}
	}

	if err = refuseForeign(options.Out); err != nil {
		return err
	}

	if err = os.MkdirAll(filepath.Dir(options.Out), folderMode); err != nil {
		return fmt.Errorf("failed to make folder: %w", err)
	}

	// Beside the release, so that it can be moved there as a whole.
	staging, err := os.MkdirTemp(filepath.Dir(options.Out), ".release-")
	if err != nil {
		return fmt.Errorf("failed to make folder: %w", err)
	}

	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()

	if err = write(ctx, options, staging, log); err != nil {
		return err
	}

	if err = os.Chmod(staging, folderMode); err != nil {
		return err
	}

	if err = os.RemoveAll(options.Out); err != nil {
		return fmt.Errorf("failed to replace the release: %w", err)
	}

	return os.Rename(staging, options.Out)
}

func write(ctx context.Context, options Options, folder string, log io.Writer) error {
	fmt.Fprintf(log, "rebound %s, commit %s, with %s\n", options.Revision.Version, options.Revision.Commit, runtime.Version())

	if err := buildAll(ctx, options, folder); err != nil {
		return err
	}

	for _, program := range programs {
		if err := writeProgram(ctx, options, program, folder); err != nil {
			return err
		}
	}

	return writeChecksums(folder, log)
}

// writeProgram writes what a program has besides its binaries.
func writeProgram(ctx context.Context, options Options, program program, folder string) error {
	if err := program.checkStamp(ctx, options.Revision, folder); err != nil {
		return err
	}

	reference, err := program.reference(options)
	if err != nil {
		return err
	}

	if err = program.render(ctx, options, reference, folder); err != nil {
		return err
	}

	if err = writeImages(ctx, options, program, reference, folder); err != nil {
		return err
	}

	dockerfile, err := fs.ReadFile(options.Dockerfiles, program.dockerfile)
	if err != nil {
		return err
	}

	dockerfile = []byte(dockerfileFor(string(dockerfile), options.Revision))

	return os.WriteFile(filepath.Join(folder, program.dockerfile), dockerfile, fileMode)
}

// host is what this program runs on.
func host() Target { return Target{runtime.GOOS, runtime.GOARCH} }

// refuseForeign refuses a folder with something in it that is no release: it would be gone.
func refuseForeign(folder string) error {
	entries, err := os.ReadDir(folder)

	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("failed to look for an older release: %w", err)
	}

	if _, err = os.Stat(filepath.Join(folder, checksums)); err != nil {
		return fmt.Errorf("folder %q has something in it that is no release: remove it, or give another one with --out", folder)
	}

	return nil
}

// writeImages writes the image of a program for all Linux targets in one file, and that of each in one of its own.
func writeImages(ctx context.Context, options Options, program program, reference name.Tag, folder string) error {
	labels := image.Labels{
		Source: source, Version: options.Revision.Version, Revision: options.Revision.Commit, Licenses: licenses,
	}

	linux := slices.DeleteFunc(slices.Clone(options.Targets), func(target Target) bool { return target.OS != "linux" })
	images := make([]v1.Image, len(linux))

	group, ctx := errgroup.WithContext(ctx)

	for i, target := range linux {
		group.Go(func() (err error) {
			binary := filepath.Join(folder, program.binary(target))
			platform := v1.Platform{OS: target.OS, Architecture: target.Arch}

			if images[i], err = image.New(binary, program.entry, platform, labels, options.Revision.Time); err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}

			return image.WriteArchive(filepath.Join(folder, program.name+"-image-"+target.Arch+".tar"), reference, images[i])
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	index, err := image.Index(labels, images...)
	if err != nil {
		return err
	}

	return image.WriteLayout(filepath.Join(folder, program.name+"-image.tar"), reference, index)
}
