// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// wave is what was seen of one reboot of all nodes.
type wave struct {
	help  string
	nodes int
	// took are the times from a healthy kubelet until its node was whole, of the nodes
	// that were within the limit.
	took []time.Duration
	// lasted is from the first healthy kubelet until the last node was whole.
	lasted time.Duration
	// traffic is what was asked of the API server.
	traffic []Traffic
	// wrong are deletes by rebound of pods that were never Failed.
	wrong int
	// server is what the API server says about it.
	server reading
	// own is the CPU time of this process: kubelets and rebound.
	own time.Duration
}

// reboot brings the nodes, which are off, back with some help, and measures.
func (f *fleet) reboot(ctx context.Context, h help) (wave, error) {
	if _, err := f.audit.Next(); err != nil {
		return wave{}, err
	}

	f.observer.begin()
	f.meter.take()

	before, err := read(ctx, f.cluster.Client())
	if err != nil {
		return wave{}, err
	}

	own := cpu()

	healthy, err := f.boot(ctx, h)
	if err != nil {
		return wave{}, errors.Join(err, h.end(ctx, f))
	}

	if err = f.await(ctx, h, last(healthy)); err != nil {
		return wave{}, errors.Join(err, h.end(ctx, f))
	}

	w := wave{help: h.name, nodes: len(f.nodes)}
	w.took, w.lasted = durations(healthy, f.observer.times())

	if err = h.end(ctx, f); err != nil {
		return wave{}, err
	}

	w.own = cpu() - own

	after, err := read(ctx, f.cluster.Client())
	if err != nil {
		return wave{}, err
	}

	records, err := f.audit.Next()
	if err != nil {
		return wave{}, err
	}

	w.server = after.since(before)
	w.traffic = traffic(records, f.meter.take())

	for _, record := range records {
		if record.DeletesPod() && client(record) == lab.ReboundUserAgent && !f.observer.wasFailed(record.Name) {
			w.wrong++
		}
	}

	return w, nil
}

func (h *help) end(ctx context.Context, f *fleet) error {
	if h.finish == nil {
		return nil
	}

	return h.finish(ctx, f)
}

// boot boots every node at its time, and returns when their kubelets were healthy.
func (f *fleet) boot(ctx context.Context, h help) ([]time.Time, error) {
	offsets := f.offsets()
	healthy := make([]time.Time, len(f.nodes))
	begin := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)

	for i, n := range f.nodes {
		group.Go(func() error {
			if !until(groupCtx, begin.Add(offsets[i])) {
				return context.Cause(groupCtx)
			}

			// The kubelet outlives the boot.
			if err := n.boot(ctx, false); err != nil {
				return err
			}

			ready := func() error { return nil }

			if h.boot != nil {
				var err error

				if ready, err = h.boot(ctx, f, n); err != nil {
					return err
				}
			}

			if !until(groupCtx, begin.Add(offsets[i]+registration)) {
				return context.Cause(groupCtx)
			}

			healthy[i] = time.Now()

			return ready()
		})
	}

	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("failed to boot: %w", err)
	}

	return healthy, nil
}

// until returns false if ctx ended first.
func until(ctx context.Context, when time.Time) bool {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// await waits until all nodes are whole, or the limit is over.
func (f *fleet) await(ctx context.Context, h help, from time.Time) error {
	waiting, cancel := context.WithDeadline(ctx, from.Add(h.limit))
	defer cancel()

	helping, stop := context.WithCancel(waiting)

	var group errgroup.Group

	if h.once != nil {
		group.Go(func() error { return h.once(helping, f) })
	}

	// What is not whole by then is not within the limit.
	_ = f.observer.await(waiting, len(f.nodes))

	stop()

	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", h.name, err)
	}

	return ctx.Err()
}

func last(times []time.Time) time.Time {
	var latest time.Time

	for _, at := range times {
		if at.After(latest) {
			latest = at
		}
	}

	return latest
}

// durations are those from healthy to whole, of the nodes that are whole, and the
// one from the first healthy kubelet to the last whole node. The name of a node is
// its index.
func durations(healthy []time.Time, whole map[string]time.Time) ([]time.Duration, time.Duration) {
	var (
		took  []time.Duration
		first time.Time
		end   time.Time
	)

	for i, at := range healthy {
		if first.IsZero() || at.Before(first) {
			first = at
		}

		done, ok := whole[nodeName(i)]
		if !ok {
			continue
		}

		// Its pods were all Ready before its kubelet passed the check.
		took = append(took, max(done.Sub(at), 0))

		if done.After(end) {
			end = done
		}
	}

	return took, max(end.Sub(first), 0)
}

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage

	// It fails for nothing but an argument that is none.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)

	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// requests counts all of them.
func (w *wave) requests() int {
	n := 0
	for _, row := range w.traffic {
		n += row.Requests
	}

	return n
}
