// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package rebootdemo tells one story on a real control plane with real kubelets:
// three control planes and a worker ask for a reboot at the same moment, and the
// worker cannot go because a PodDisruptionBudget keeps a pod on it. It measures
// how rebound's coordinator gets them rebooted and, where a checkout of kured is
// at hand, how kured does.
//
// What is measured comes from a watch of the Nodes and from the API server's
// audit log, the same for all. Whoever coordinates the reboots is not asked how
// it went, but only what it waits for.
package rebootdemo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/kured"
	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

// The files of a report.
const (
	jsonFile = "reboots.json"
	htmlFile = "reboots.html"
)

var errInterrupted = errors.New("interrupted, nothing was reported")

// Options are what a run of the demo may be given.
type Options struct {
	// Rebound is the binary of the agent, Coordinator that of the coordinator; those
	// beside the running program if they are empty.
	Rebound, Coordinator string
	// Manifests is the folder of the coordinator's manifests.
	Manifests string
	// Kured is the folder of a checkout of kured; empty for no comparison.
	Kured string
	// Out is the folder for the reports. It is created if need be.
	Out string
}

// The limits. Kured does nothing for 30 to 90 s after each start, the one after
// a reboot included, so it is given longer than rebound.
var (
	reboundLimits = limits{patience: 5 * time.Minute, afterwards: time.Minute}
	kuredLimits   = limits{patience: 9 * time.Minute, afterwards: 2 * time.Minute}
	// With its defaults kured drains for ever: what is not done soon never is.
	kuredDefaultLimits = limits{patience: 2 * time.Minute, afterwards: 30 * time.Second}
)

// Run tells the story with rebound, and with kured if that is at hand, and writes
// what happens and the results to w. The error says what rebound has failed to
// do, if the run itself went through; the reports are written in that case too.
func Run(ctx context.Context, options Options, w io.Writer) (err error) {
	for _, program := range []struct {
		path *string
		name string
	}{{&options.Rebound, "rebound"}, {&options.Coordinator, "rebound-coordinator"}} {
		if *program.path, err = show.FindProgram(*program.path, program.name); err != nil {
			return err
		}
	}

	if err = show.CheckManifests(options.Manifests); err != nil {
		return err
	}

	// A folder that cannot be written to is better known before than after.
	if err = show.OpenFolder(options.Out); err != nil {
		return err
	}

	program, remove, err := buildKured(ctx, options.Kured, w)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, remove()) }()

	report, err := tellAll(ctx, options, program, w)
	if err != nil {
		return err
	}

	if err = errors.Join(report.write(options.Out), report.WriteTable(w)); err != nil {
		return err
	}

	fmt.Fprintf(w, "\nreports: %s\n         %s\n", filepath.Join(options.Out, jsonFile), filepath.Join(options.Out, htmlFile))

	return report.Check()
}

// buildKured builds kured from the checkout, if there is one, and returns what
// takes the binary away again.
func buildKured(ctx context.Context, checkout string, w io.Writer) (program kured.Program, remove func() error, err error) {
	if checkout == "" {
		return kured.Program{}, func() error { return nil }, nil
	}

	if err = kured.Check(ctx, checkout); err != nil {
		return kured.Program{}, nil, err
	}

	folder, err := os.MkdirTemp("", "rebound-kured-")
	if err != nil {
		return kured.Program{}, nil, fmt.Errorf("failed to create folder for kured: %w", err)
	}

	remove = func() error { return os.RemoveAll(folder) }

	fmt.Fprintf(w, "building kured from %s\n", checkout)

	if program, err = kured.Build(ctx, checkout, folder); err != nil {
		return kured.Program{}, nil, errors.Join(err, remove())
	}

	return program, remove, nil
}
