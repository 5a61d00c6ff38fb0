// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/internal/kubereboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// waitForReboots prints every change until all reboots that were asked for are over.
func waitForReboots(ctx context.Context, client *kubereboot.Client, asked []v1alpha1.NodeReboot, timeout time.Duration, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not rebooted within %s", timeout))
	defer cancel()

	reporter := newReporter(out)
	defer reporter.Close()

	progress := newRebootProgress(asked)

	err := client.Follow(ctx, func(reboots []v1alpha1.NodeReboot) bool {
		for _, line := range progress.take(reboots) {
			reporter.Log(line)
		}

		if progress.over() {
			return true
		}

		reporter.Show("waiting for " + progress.waiting())

		return false
	}, func(trouble error) {
		if progress.isNews(trouble) {
			reporter.Log(trouble.Error())
		}
	})
	if err != nil {
		return progress.ended(err)
	}

	return progress.finish(reporter)
}

// rebootProgress is how far the reboots are that are waited for.
type rebootProgress struct {
	nodes map[string]*awaitedReboot
	// trouble is why the NodeReboots cannot be listed; empty while they can.
	trouble string
}

// awaitedReboot is a reboot that is waited for.
type awaitedReboot struct {
	uid         types.UID
	requestedAt metav1.Time
	// said is what was last said of it; empty at first.
	said string
	// done is whether the node was rebooted, cancelled whether it no longer will be.
	done, cancelled bool
}

func (a *awaitedReboot) over() bool { return a.done || a.cancelled }

func newRebootProgress(asked []v1alpha1.NodeReboot) *rebootProgress {
	progress := &rebootProgress{nodes: map[string]*awaitedReboot{}}

	for i := range asked {
		progress.nodes[asked[i].Name] = &awaitedReboot{uid: asked[i].UID, requestedAt: *requestedAt(&asked[i])}
	}

	return progress
}

// take notes what the NodeReboots are now, and returns a line for each node of which there is something new to say.
func (p *rebootProgress) take(reboots []v1alpha1.NodeReboot) []string {
	var lines []string

	p.trouble = ""

	for _, name := range p.names() {
		awaited := p.nodes[name]
		if awaited.over() {
			continue
		}

		said := "its reboot was cancelled"

		i := slices.IndexFunc(reboots, func(reboot v1alpha1.NodeReboot) bool { return reboot.Name == name && reboot.UID == awaited.uid })
		if i < 0 {
			awaited.cancelled = true
		} else {
			said, awaited.done = awaited.judge(&reboots[i])
		}

		if said != awaited.said {
			lines = append(lines, name+": "+said)
		}

		awaited.said = said
	}

	return lines
}

// isNews notes why the NodeReboots cannot be listed, and tells whether that was for another reason the last time.
func (p *rebootProgress) isNews(trouble error) bool {
	was := p.trouble
	p.trouble = trouble.Error()

	return p.trouble != was
}

// judge says how far the reboot is, and whether it is the one that was asked for that is done: the object keeps the status of
// the one before until the coordinator has seen the request.
func (a *awaitedReboot) judge(reboot *v1alpha1.NodeReboot) (string, bool) {
	if !isDone(reboot) {
		return describe(reboot), false
	}

	if of := reboot.Status.RequestedAt; of != nil && of.Before(&a.requestedAt) {
		return notLookedAt, false
	}

	return describeStatus(reboot.Status), true
}

// over tells whether there is nothing left to wait for.
func (p *rebootProgress) over() bool {
	for _, awaited := range p.nodes {
		if !awaited.over() {
			return false
		}
	}

	return true
}

// waiting names the nodes that are waited for, with the first words that are said of them.
func (p *rebootProgress) waiting() string {
	var left []string

	for _, name := range p.names() {
		if awaited := p.nodes[name]; !awaited.over() {
			first, _, _ := strings.Cut(awaited.said, ":")
			left = append(left, name+": "+first)
		}
	}

	return strings.Join(left, "; ")
}

// ended is the error of a wait that ended before the reboots did.
func (p *rebootProgress) ended(err error) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}

	var left, names []string

	for _, name := range p.names() {
		if awaited := p.nodes[name]; !awaited.over() {
			names = append(names, name)

			if awaited.said != "" {
				left = append(left, name+": "+awaited.said)
			}
		}
	}

	if p.trouble != "" {
		left = append(left, p.trouble)
	}

	if len(left) > 0 {
		err = fmt.Errorf("%w; the last that was seen: %s", err, strings.Join(left, "; "))
	}

	return failure{fmt.Errorf("%w; the requests stay, cancel them with: rebound reboot cancel %s", err, strings.Join(names, " "))}
}

// finish says how it ended. It is an error if a node was not rebooted.
func (p *rebootProgress) finish(reporter *reporter) error {
	done, cancelled := 0, []string{}

	for _, name := range p.names() {
		if p.nodes[name].done {
			done++
		} else {
			cancelled = append(cancelled, name)
		}
	}

	rebooted := fmt.Sprintf("%d nodes rebooted", done)
	if done == 1 {
		rebooted = "1 node rebooted"
	}

	reporter.Finish(rebooted)

	if len(cancelled) > 0 {
		return failure{fmt.Errorf("cancelled by somebody else: %s", strings.Join(cancelled, ", "))}
	}

	return nil
}

func (p *rebootProgress) names() []string { return slices.Sorted(maps.Keys(p.nodes)) }
