// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Release writes everything that a version of rebound is published as: static binaries, OCI images, manifests and
// checksums. It needs Go and git, but no container engine.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/talos-rebound/rebound/hack/release/internal/dist"
	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

//go:embed Dockerfile coordinator.Dockerfile
var dockerfiles embed.FS

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Whoever presses Ctrl-C twice does not want to wait for anything.
	context.AfterFunc(ctx, stop)

	options := dist.Options{Dockerfiles: dockerfiles, Targets: dist.Targets()}

	flag.StringVar(&options.Source, "source", ".", "top of the repository")
	flag.StringVar(&options.Out, "out", "build/release", "folder to write")
	flag.StringVar(&options.Repository, "repository", "ghcr.io/talos-rebound/rebound", "where the image will be; that of the coordinator has -coordinator after it")
	version := flag.String("version", "", "version to release (default what git tells)")
	flag.Parse()

	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see release --help", flag.Arg(0))
	}

	err := release(ctx, options, *version)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted, nothing was released")
	}

	return err
}

func release(ctx context.Context, options dist.Options, version string) (err error) {
	options.Revision, err = revision.Read(ctx, options.Source, version, os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}

	return dist.Write(ctx, options, os.Stdout)
}
