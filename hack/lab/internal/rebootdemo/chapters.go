// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/talos-rebound/rebound/hack/lab/internal/kured"
	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

// tellAll tells the story with everybody who is there.
func tellAll(ctx context.Context, options Options, program kured.Program, w io.Writer) (*Report, error) {
	run, err := tellOne(ctx, "rebound", &reboundSystem{agent: options.Rebound, coordinator: options.Coordinator, manifests: options.Manifests}, reboundLimits, w)
	if err != nil {
		return nil, err
	}

	run.Told = fmt.Sprintf("An agent on each node, %d replicas of the coordinator, one RebootBudget and one RebootPolicy with the defaults.", len(replicas))
	report := &Report{Result: run}

	if program.Path == "" {
		return report, nil
	}

	for _, peer := range []struct {
		title  string
		flags  []string
		limits limits
	}{
		{"kured " + program.Version + ", defaults", nil, kuredDefaultLimits},
		{"kured " + program.Version + ", --drain-timeout=" + kuredDrainTimeout.String(), []string{"--drain-timeout=" + kuredDrainTimeout.String()}, kuredLimits},
	} {
		system := newKuredSystem(program, peer.flags...)

		run, err := tellOne(ctx, peer.title, system, peer.limits, w)
		if err != nil {
			return nil, err
		}

		run.Told = fmt.Sprintf("One process for each node, outside a pod, with %s. They look at their sentinels in turn, and all nodes ask a second before the worker's does.", strings.Join(system.flags, " "))
		report.Peers = append(report.Peers, Peer{Name: kured.Name, Version: program.Version, Flags: system.flags, Result: run})
	}

	return report, nil
}

// tellOne tells it once, with live lines of its own.
func tellOne(ctx context.Context, title string, system system, limits limits, w io.Writer) (Result, error) {
	fmt.Fprintf(w, "\n%s\n", title)

	progress := show.NewProgress(w, 1, nodeNames...)
	defer progress.Close()

	progress.Say("starting etcd, kube-apiserver, kube-controller-manager and kube-scheduler %s", show.KubernetesVersion())

	run, err := tell(ctx, system, limits, progress)
	run.Title = title

	return run, err
}

// write writes every form of the report to the folder.
func (report *Report) write(folder string) error {
	return show.WriteReport(folder, report, jsonFile, htmlFile)
}
