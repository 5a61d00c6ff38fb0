// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package demo reboots three nodes of a lab side by side, one with rebound in
// machined, one with its agent and one with neither, and reports how long each
// takes to get its DaemonSet pods back.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// The nodes.
const (
	withMachined   = "worker-a"
	withoutRebound = "worker-b"
	withAgent      = "worker-c"
)

// hosts says where rebound runs on each of them.
var hosts = map[string]specs.Host{
	withMachined:   specs.HostMachined,
	withoutRebound: HostNone,
	withAgent:      specs.HostAgent,
}

var errInterrupted = errors.New("interrupted, nothing was reported")

// Options are what a run of the demo may be given.
type Options struct {
	// Reboots is how often the nodes are rebooted; at least once.
	Reboots int
	// Rebound is the binary of the agent; the one beside the running program if it is empty.
	Rebound string
	// Out is the folder for the reports. It is created if need be.
	Out string
}

// Run runs the demo and writes progress and results to w. The error says what
// rebound has failed to do, if the run itself went through; the reports are
// written in that case too.
func Run(ctx context.Context, options Options, w io.Writer) (err error) {
	if options.Reboots < 1 {
		return fmt.Errorf("--reboots is %d: the nodes have to be rebooted at least once", options.Reboots)
	}

	if options.Rebound, err = show.FindProgram(options.Rebound, "rebound"); err != nil {
		return err
	}

	// A folder that cannot be written to is better known before than after.
	if err = show.OpenFolder(options.Out); err != nil {
		return err
	}

	progress := show.NewProgress(w, options.Reboots, withMachined, withoutRebound, withAgent)
	defer progress.Close()

	report, err := measure(ctx, options, progress)
	if err != nil {
		return err
	}

	progress.Close()

	if err := errors.Join(report.write(options.Out), report.WriteTable(w)); err != nil {
		return err
	}

	fmt.Fprintf(w, "\nreports: %s\n         %s\n", filepath.Join(options.Out, jsonFile), filepath.Join(options.Out, htmlFile))

	return report.Check()
}

// measure starts a lab, runs everything on it, and stops it.
func measure(ctx context.Context, options Options, progress *show.Progress) (report *Report, err error) {
	progress.Say("starting etcd, kube-apiserver, kube-controller-manager and kube-scheduler %s", show.KubernetesVersion())

	cluster, err := lab.Start(ctx)
	if err != nil {
		return nil, err
	}

	defer func() {
		if ctx.Err() != nil {
			// What was going on when it was interrupted tells nothing.
			err = errInterrupted
		}

		err = errors.Join(err, cluster.Close())
	}()

	race, err := lineUp(ctx, cluster, options.Rebound, progress)
	if err != nil {
		return nil, err
	}

	floor, err := race.measureFloor(ctx)
	if err != nil {
		return nil, err
	}

	for range options.Reboots {
		if err := race.reboot(ctx); err != nil {
			return nil, err
		}
	}

	records, err := cluster.Audit()
	if err != nil {
		return nil, err
	}

	usage, err := agentUsage(ctx, cluster.Node(withAgent).AgentMetrics())
	if err != nil {
		return nil, err
	}

	// What comes now is shown and not measured.
	progress.Close()

	if err := race.checkHealth(ctx); err != nil {
		return nil, err
	}

	return NewReport(show.KubernetesVersion(), floor, race.results, usage, records), nil
}
