// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
)

// DefaultInterval is how often Wait asks all nodes.
const DefaultInterval = 5 * time.Second

// reportDelay is for how long Wait collects what watches say before it reports: a node that recovers says much at once.
const reportDelay = 200 * time.Millisecond

// WaitOptions say how Wait waits. The zero value watches, and asks at the default interval.
type WaitOptions struct {
	// Interval is how often all nodes are asked, in addition to watching them: a node that has gone away says nothing.
	// Zero means DefaultInterval.
	Interval time.Duration
	// Poll makes Wait only ask, without a watch per node.
	Poll bool
	// Report is called with the first verdict, and then with every one that differs in status or reason and lasts for a
	// moment. It is called by the goroutine that called Wait. Nil means that nobody wants to know.
	Report func(Verdict)
}

// Wait waits until the verdict on the nodes is settled, and returns it: it passed, there is nothing to check, or the
// caller is refused everywhere. If ctx ends first, it returns the last verdict with the cause of that.
//
// It passes as soon as the last node is whole and all of them, asked once more, still are.
func Wait(ctx context.Context, st state.State, nodes []Node, options WaitOptions) (Verdict, error) {
	if options.Interval <= 0 {
		options.Interval = DefaultInterval
	}

	if options.Report == nil {
		options.Report = func(Verdict) {}
	}

	w := waiter{state: st, nodes: nodes, options: options, updates: make(chan update)}

	// If all are whole already there is nothing to watch.
	w.fetch(ctx)

	if !options.Poll && !w.verdict.Settled() {
		defer w.watch(ctx)()
	}

	return w.wait(ctx)
}

// update is what a watch says about a node.
type update struct {
	index  int
	answer Answer
}

type waiter struct {
	state   state.State
	nodes   []Node
	options WaitOptions
	updates chan update

	answers []Answer
	verdict Verdict
	// fetched is whether all answers were given to one and the same question.
	fetched bool
	// reported is the last verdict that was passed on; nil before the first.
	reported *Verdict
}

func (w *waiter) wait(ctx context.Context) (Verdict, error) {
	ticker := time.NewTicker(w.options.Interval)
	defer ticker.Stop()

	var news <-chan time.Time

	for {
		if w.verdict.Settled() && w.fetched {
			return w.verdict, nil
		}

		if ctx.Err() != nil {
			return w.verdict, context.Cause(ctx)
		}

		if w.verdict.Settled() {
			w.fetch(ctx)

			continue
		}

		select {
		case <-ctx.Done():
		case <-ticker.C:
			w.fetch(ctx)
		case update := <-w.updates:
			if cutOff(update.answer) {
				continue
			}

			w.answers[update.index], w.fetched = update.answer, false
			w.verdict = Judge(w.answers)

			if news == nil {
				news = time.After(reportDelay)
			}
		case <-news:
			news = nil

			w.report()
		}
	}
}

func (w *waiter) fetch(ctx context.Context) {
	answers := Fetch(ctx, w.state, w.nodes)

	switch {
	case !slices.ContainsFunc(answers, cutOff):
		w.answers, w.fetched = answers, true
		w.verdict = Judge(answers)
		w.report()
	case w.answers == nil:
		w.answers, w.verdict = answers, Judge(answers) // it is no news, but there is nothing else
	}
}

// cutOff tells whether an answer says nothing about the node, because ctx ended or is about to.
func cutOff(answer Answer) bool { return errors.Is(answer.Err, errCutOff) }

// report passes the verdict on if it is news.
func (w *waiter) report() {
	if w.reported == nil || w.reported.Status != w.verdict.Status || w.reported.Reason != w.verdict.Reason {
		w.reported = new(w.verdict)
		w.options.Report(w.verdict)
	}
}

// watch follows every node until the function that it returns is called.
func (w *waiter) watch(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)

	var group sync.WaitGroup

	for i, node := range w.nodes {
		group.Go(func() {
			follow(ctx, w.state, node, func(answer Answer) {
				select {
				case w.updates <- update{index: i, answer: answer}:
				case <-ctx.Done():
				}
			})
		})
	}

	return func() {
		cancel()
		group.Wait()
	}
}
