// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// verdictInterval is how often there is a verdict on the way.
	verdictInterval = time.Minute
	// restLimit bounds how long after the end something may still be on its way, on a
	// slow machine.
	restLimit = 3 * time.Minute
	// readyWait is how long is waited for the pods of one node in one look.
	readyWait = 3 * time.Second
)

// Run runs a soak and writes what happens, and the verdicts, to w. The error says
// what was found, or why it did not come to its end; the report is written in any
// case once the soak has begun.
func Run(ctx context.Context, options Options, w io.Writer) (err error) {
	if err = options.check(); err != nil {
		return err
	}

	// What the clients of this process say when a server goes away is no news here.
	klog.SetLogger(klog.Logger{})

	fmt.Fprintf(w, "a soak of %s with seed %d: the same again with --time %s --seed %d\n", options.Time, options.Seed, options.Time, options.Seed)

	cluster, err := lab.Start(ctx)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, cluster.Close()) }()

	fmt.Fprintf(w, "starting %d nodes with %d DaemonSets\n", len(nodeRoles), daemonSetCount)

	stage, err := openStage(ctx, cluster, options)
	if err != nil {
		return err
	}

	report, runErr := newSoak(stage, options, w).run(ctx)
	if report == nil {
		return runErr
	}

	if ctx.Err() != nil {
		report.Interrupted, runErr = true, nil
	}

	if err = errors.Join(report.write(options.Out), report.WriteTable(w)); err != nil {
		return errors.Join(runErr, err)
	}

	fmt.Fprintf(w, "\nreport: %s\n", filepath.Join(options.Out, jsonFile))

	return errors.Join(runErr, report.Check())
}

// soak is a run.
type soak struct {
	*stage

	options Options
	plan    []Event
	log     *show.Log
	began   time.Time

	calm     *calm
	ledger   *Ledger
	sampler  *sampler
	follower *lab.AuditFollower
	audit    *auditJudge
	witness  *lab.Witness
	verdicts []Verdict
	// lacking are nodes that lack a pod, when that was looked for last.
	lacking []string
}

func newSoak(stage *stage, options Options, w io.Writer) *soak {
	return &soak{
		stage:    stage,
		options:  options,
		plan:     Plan(options.Seed, options.Time),
		log:      show.NewLog(w),
		began:    time.Now(),
		calm:     newCalm(time.Now()),
		ledger:   NewLedger(withRebound()...),
		sampler:  newSampler(stage.processes()),
		follower: stage.lab.FollowAudit(),
		audit:    &auditJudge{user: lab.CoordinatorAccount.User()},
	}
}

// run lets everything happen and returns what was found by the end, however early
// that was. There is no report if there was nothing to see.
func (s *soak) run(ctx context.Context) (*Report, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()

	var err error

	if s.witness, err = s.lab.Witness(watching); err != nil {
		return nil, err
	}

	defer s.witness.Wait()
	defer stop()

	group, running := errgroup.WithContext(watching)

	for _, replica := range s.replicas {
		group.Go(func() error { return replica.keep(running) })
	}

	group.Go(func() error {
		s.sampler.run(running)

		return nil
	})

	group.Go(func() error {
		defer stop()

		return s.play(running)
	})

	runErr := group.Wait()
	ended := ctx.Err() == nil && runErr == nil

	verdict, err := s.verdict(ended)
	if err != nil {
		return nil, errors.Join(runErr, err)
	}

	return s.report(verdict), runErr
}

// play lets the events happen, looks at what comes of them, and waits for the
// rest.
func (s *soak) play(ctx context.Context) error {
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()

	group, playing := errgroup.WithContext(looking)

	group.Go(func() error { return s.look(playing) })
	group.Go(func() error {
		defer stopLooking()

		return s.playEvents(playing)
	})

	if err := group.Wait(); err != nil || ctx.Err() != nil {
		return err
	}

	return s.rest(ctx)
}

// playEvents returns when the time is over and every event is.
func (s *soak) playEvents(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)

	for _, event := range s.plan {
		if !pause(ctx, time.Until(s.began.Add(event.At))) {
			break
		}

		s.log.Say("%s", event)
		s.calm.begin(event.disturbed()...)
		group.Go(func() error {
			defer func() { s.calm.end(time.Now(), event.disturbed()...) }()

			if err := s.act(ctx, event); err != nil {
				return fmt.Errorf("failed to let it happen: %s: %w", event, err)
			}

			return nil
		})
	}

	if len(s.plan) > 0 && pause(ctx, time.Until(s.began.Add(s.options.Time-Quiet(s.options.Time)))) {
		s.log.Say("nothing happens any more")
	}

	pause(ctx, time.Until(s.began.Add(s.options.Time)))

	return group.Wait()
}

// look looks for what is stuck, and has a verdict every minute, until ctx is
// done.
func (s *soak) look(ctx context.Context) error {
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()

	for next := s.began.Add(verdictInterval); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}

		// Without an API server nothing can be seen.
		if seen, err := s.observe(ctx, s.calm); err == nil {
			s.ledger.See(seen)
		}

		if time.Now().Before(next) {
			continue
		}

		next = next.Add(verdictInterval)

		verdict, err := s.verdict(false)
		if err != nil {
			return err
		}

		s.verdicts = append(s.verdicts, verdict)
		s.log.Say("verdict: %s", &verdict)
	}
}

// rest waits until everything has come to rest, or has had the time to.
func (s *soak) rest(ctx context.Context) error {
	s.log.Say("the time is over: waiting until everything is at rest")

	limited, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()

	for {
		s.lacking = s.findLacking(limited)

		if seen, err := s.observe(limited, s.calm); err == nil {
			s.ledger.See(seen)

			if stuck, cordons := s.ledger.Rest(); len(stuck)+len(cordons)+len(s.lacking) == 0 {
				s.log.Say("everything is at rest")

				return nil
			}
		}

		if !pause(limited, observeInterval) {
			return nil
		}
	}
}

// findLacking returns the nodes with rebound that lack a pod, with which.
func (s *soak) findLacking(ctx context.Context) []string {
	var found []string

	for _, name := range withRebound() {
		limited, cancel := context.WithTimeout(ctx, readyWait)
		if _, err := s.lab.Node(name).WaitDaemonSetPodsReady(limited); err != nil {
			found = append(found, err.Error())
		}

		cancel()
	}

	return found
}

// verdict judges what was seen until now.
func (s *soak) verdict(ended bool) (Verdict, error) {
	records, err := s.follower.Next()
	if err != nil {
		return Verdict{}, err
	}

	s.audit.see(records)

	expected := slices.Concat(withRebound(), replicas)

	return Judge(Evidence{
		Seconds:   time.Since(s.began).Seconds(),
		Audit:     s.audit.findings(),
		Ledger:    s.ledger,
		Cordoned:  s.witness.MaxCordoned(),
		Slots:     s.witness.MaxSlots(),
		Processes: s.sampler.all(),
		Expected:  expected,
		Lacking:   s.lacking,
		Ended:     ended,
	}), nil
}
