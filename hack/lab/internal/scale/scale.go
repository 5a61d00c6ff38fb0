// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

const (
	// DefaultNodes is the largest number of nodes unless told otherwise.
	DefaultNodes = 1000
	// DefaultBackoff is how long every back-off still lasts when a wave begins, and
	// marginOfNode what each node adds to that: a wave of many takes longer, and the
	// DaemonSet controller is not to help in the middle of it.
	DefaultBackoff = time.Minute
	marginOfNode   = 60 * time.Millisecond

	// daemonSetsOfNode are how many pods each node has.
	daemonSetsOfNode = 5
	// defaultSpread is the time within which all kubelets get healthy.
	defaultSpread = 10 * time.Second

	// A percentile of few nodes is that of one or two pods: their waves are played so
	// often that there are about as many times as that.
	leastTimes = 60
	mostRounds = 3
)

// sizes are the numbers of nodes of the curve.
var sizes = []int{10, 30, 100, 300, 1000}

// Options are what a run may be given.
type Options struct {
	// Nodes is the largest number of nodes.
	Nodes int
	// Only has no smaller numbers measured.
	Only bool
	// Peers has the largest number of nodes also brought back by what people use
	// without rebound.
	Peers bool
	// Backoff is how long every back-off lasts at least when nodes come back.
	Backoff time.Duration
	// Spread is the time within which all kubelets get healthy; zero for ten seconds.
	Spread time.Duration
	// Rounds is how often both waves of a run are played; zero for as often as the
	// number of nodes needs it.
	Rounds int
	// Out is the folder for the reports. It is created if need be.
	Out string
}

// Run measures, and writes progress and results to w. The error says which goal was
// missed; the reports are written in that case too.
func Run(ctx context.Context, options Options, w io.Writer) error {
	if options.Nodes < 1 || options.Backoff < 0 {
		return errors.New("there must be a node, and no negative back-off")
	}

	// A folder that cannot be written to is better known before than after.
	if err := show.OpenFolder(options.Out); err != nil {
		return err
	}

	// What the clients of this process say when a server goes away is no news here.
	klog.SetLogger(klog.Logger{})

	log := show.NewLog(w)
	report := newReport()

	for _, nodes := range options.sizes() {
		measured := measure(ctx, nodes, options, report, log)

		// What was measured until now is there if what follows fails.
		if len(report.Runs) > 0 {
			measured = errors.Join(measured, report.write(options.Out))
		}

		if measured != nil {
			return measured
		}
	}

	if err := report.WriteTable(w); err != nil {
		return err
	}

	fmt.Fprintf(w, "\nreports: %s\n         %s\n", filepath.Join(options.Out, jsonFile), filepath.Join(options.Out, htmlFile))

	return report.Check()
}

func (options *Options) sizes() []int {
	if options.Only {
		return []int{options.Nodes}
	}

	smaller := slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n >= options.Nodes })

	return append(smaller, options.Nodes)
}

// rounds is how often the two waves of a run are played.
func rounds(nodes int) int { return min(max((leastTimes+nodes-1)/nodes, 1), mostRounds) }

// measure makes a run with so many nodes on a lab of its own.
func measure(ctx context.Context, nodes int, options Options, report *Report, log *show.Log) (err error) {
	margin := options.Backoff + time.Duration(nodes)*marginOfNode

	log.Say("%d nodes: starting a control plane", nodes)

	f, err := startFleet(ctx, nodes, daemonSetsOfNode, cmp.Or(options.Spread, defaultSpread), margin, log)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, f.stop()) }()

	log.Say("%d nodes: rejecting pods until the DaemonSet controller waits %s for each", nodes, margin)

	if err = f.settle(ctx); err != nil {
		return err
	}

	f.down()

	var attempt time.Duration

	watchBytes, err := f.watchBytes(ctx)
	if err != nil {
		return err
	}

	var floors, waves []wave

	for range cmp.Or(options.Rounds, rounds(nodes)) {
		for _, next := range []struct {
			help help
			to   *[]wave
		}{{floor(), &floors}, {withRebound(&attempt), &waves}} {
			seen, err := f.play(ctx, next.help)
			if err != nil {
				return err
			}

			*next.to = append(*next.to, seen)
		}
	}

	run := newResult(floors, waves)
	run.HealthSeconds = attempt.Seconds()
	run.WatchBytes = watchBytes
	report.Runs = append(report.Runs, run)

	if !options.Peers || nodes < options.Nodes {
		return nil
	}

	for _, peer := range peers() {
		seen, err := f.play(ctx, peer)
		if err != nil {
			return err
		}

		report.Peers = append(report.Peers, newPeer(seen))
	}

	return nil
}

// play reboots all nodes once: they are off before and after. A fleet whose nodes
// have just been played shuts down first.
func (f *fleet) play(ctx context.Context, h help) (wave, error) {
	if f.up {
		if err := f.shutDown(ctx); err != nil {
			return wave{}, err
		}
	}

	f.say.Say("%d nodes: back-offs of %s and more; reboot, %s", len(f.nodes), f.leastBackoff(), h.name)
	f.up = true

	seen, err := f.reboot(ctx, h)
	if err != nil {
		return wave{}, err
	}

	f.say.Say("%d nodes: %d whole within %s, p50 %s, p99 %s, %d requests", len(f.nodes), len(seen.took), h.limit,
		show.Seconds(percentile(seen.took, 0.5)), show.Seconds(percentile(seen.took, 0.99)), seen.requests())

	return seen, nil
}
