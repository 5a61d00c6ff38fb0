// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/internal/cli"
)

var errNoWait = errors.New("it did not wait for the node, which was down")

// checkHealth reboots the node with rebound once more, under the eyes of rebound
// health: the check begins while the node is down and has to wait until it is
// whole.
func (r *race) checkHealth(ctx context.Context) error {
	node := r.cluster.Node(withRebound)

	r.progress.say("once more, with rebound health waiting for the node")
	r.progress.say("%s: shutting down", withRebound)

	if err := node.Stop(ctx); err != nil {
		return err
	}

	r.progress.say("%s: down", withRebound)
	r.progress.say("$ rebound health -n %s", withRebound)

	lines := newLineWriter(func(line string) { r.progress.say("  %s", line) }, withRebound+": ")
	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error { return health(ctx, r.cluster, lines) })
	group.Go(func() error {
		select {
		case <-lines.seen:
		case <-ctx.Done():
			return context.Cause(ctx)
		}

		r.progress.say("%s: booting", withRebound)

		return node.Start(ctx)
	})

	return group.Wait()
}

// health runs rebound health as the command does. The error says so too if the
// check did not have to wait.
func health(ctx context.Context, cluster *lab.Lab, lines *lineWriter) error {
	err := cli.Health(ctx, cli.HealthOptions{
		Access:      cli.Access{Talosconfig: cluster.Talosconfig(), Nodes: []string{withRebound}},
		WaitTimeout: bootLimit,
		Output:      cli.FormatText,
	}, lines, io.Discard)

	select {
	case <-lines.seen:
	default:
		err = errors.Join(err, errNoWait)
	}

	if err != nil {
		return fmt.Errorf("rebound health failed on node %q: %w", withRebound, err)
	}

	return nil
}

// lineWriter hands on what is written line by line, and tells when one of the
// lines has a text.
type lineWriter struct {
	say  func(string)
	text string
	// seen is closed after a line with the text.
	seen  chan struct{}
	close func()
	rest  []byte
}

func newLineWriter(say func(string), text string) *lineWriter {
	seen := make(chan struct{})

	return &lineWriter{say: say, text: text, seen: seen, close: sync.OnceFunc(func() { close(seen) })}
}

// Write implements io.Writer.
func (l *lineWriter) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)

	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(text), nil
		}

		l.say(string(line))

		if strings.Contains(string(line), l.text) {
			l.close()
		}

		l.rest = rest
	}
}
