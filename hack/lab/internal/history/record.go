// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// timeout bounds one history on a slow machine.
const timeout = 9 * time.Minute

// Options say what to record.
type Options struct {
	// Out is the folder for the histories, one file for each.
	Out string
	// Only has the names of the histories to record; all of them if it is empty.
	Only []string
}

// Names returns the names of all histories.
func Names() []string {
	names := make([]string, len(tales))
	for i := range tales {
		names[i] = tales[i].name
	}

	return names
}

// Run records histories on a lab of its own, all at the same time, and says on
// w what it has written. A file is written only if its story went to its end.
func Run(ctx context.Context, options Options, w io.Writer) (err error) {
	for _, name := range options.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("unknown history %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}

	if err = os.MkdirAll(options.Out, 0o755); err != nil {
		return fmt.Errorf("failed to make folder for histories: %w", err)
	}

	cluster, err := lab.Start(ctx)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, cluster.Close()) }()

	var (
		group  errgroup.Group
		saying sync.Mutex
	)

	for _, tale := range tales {
		if len(options.Only) > 0 && !slices.Contains(options.Only, tale.name) {
			continue
		}

		group.Go(func() error {
			history, err := tale.record(ctx, cluster, show.KubernetesVersion())
			if err != nil {
				return fmt.Errorf("failed to record history %q: %w", tale.name, err)
			}

			if err = history.write(filepath.Join(options.Out, tale.name+".json")); err != nil {
				return err
			}

			saying.Lock()
			defer saying.Unlock()

			_, err = fmt.Fprintf(w, "%s: %d events\n", tale.name, len(history.Events))

			return err
		})
	}

	return group.Wait()
}

// record tells the tale on a node and in a namespace of its own.
func (tale *tale) record(ctx context.Context, cluster *lab.Lab, version string) (History, error) {
	history := History{Story: tale.story, Kubernetes: version, Rebound: tale.rebound, Late: tale.late}

	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()

	recorder, err := record(ctx, cluster, tale.name, tale.name)
	if err != nil {
		return history, err
	}

	s := &stage{recorder: recorder, ctx: ctx, labels: map[string]string{"lab.test/history": tale.name}}

	if err = s.tell(tale); err != nil {
		return history, errors.Join(err, recorder.stop())
	}

	history.Events, err = recorder.finish()

	return history, err
}

// tell adds the node, and does to it what the tale says.
func (s *stage) tell(tale *tale) (err error) {
	options := append(slices.Clone(tale.options), lab.WithLabels(maps.Clone(s.labels)))
	if tale.rebound {
		options = append(options, lab.WithRebound())
	}

	err = s.comeBack(func(ctx context.Context) error {
		s.node, err = s.cluster.AddNode(ctx, s.recorder.node, options...)

		return err
	})

	return errors.Join(err, tale.tell(s))
}

// write writes the history, an event a line.
func (history *History) write(path string) error {
	events := history.Events
	head := *history
	head.Events = nil

	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode history: %w", err)
	}

	var lines bytes.Buffer

	lines.Write(bytes.TrimSuffix(text, []byte("null\n}")))
	lines.WriteString("[\n")

	for i, event := range events {
		line, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("failed to encode event: %w", err)
		}

		lines.WriteString("    ")
		lines.Write(line)

		if i < len(events)-1 {
			lines.WriteByte(',')
		}

		lines.WriteByte('\n')
	}

	lines.WriteString("  ]\n}\n")

	if err := os.WriteFile(path, lines.Bytes(), 0o644); err != nil {
		return fmt.Errorf("failed to write history: %w", err)
	}

	return nil
}
