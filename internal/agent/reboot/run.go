// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// run is one run of a Rebooter.
type run struct {
	*Rebooter

	changed chan struct{}
	work    sync.WaitGroup

	mu      sync.Mutex
	signs   []sign
	node    *metav1.PartialObjectMetadata
	attempt Attempt
	// obstacle is why a reboot could not work; empty if it could, as far as that is known.
	obstacle string
	// written is the version of the Node with the last report. What the watch has of before is not news.
	written string

	// What follows is the loop's alone.
	wish           Wish
	noted          string
	bootProblem    string
	writeProblem   string
	writeDelay     *wait.Backoff
	writeNotBefore time.Time
	wouldWrite     string
}

func newRun(r *Rebooter) *run {
	return &run{
		Rebooter: r, changed: make(chan struct{}, 1), signs: make([]sign, len(r.Sentinels)), writeDelay: newDelay(),
	}
}

// update changes what is known, and wakes the loop.
func (n *run) update(change func()) {
	defer func() {
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}()

	n.mu.Lock()
	defer n.mu.Unlock()

	change()
}

// step decides once and does what was decided. It returns when to do so again at the latest; zero if only news matter.
func (n *run) step(ctx context.Context) time.Time {
	facts := n.read()
	plan := Decide(facts)

	n.note(plan)

	if plan.Verdict == VerdictReboot && !n.DryRun {
		n.reboot(ctx, plan.Grant)
	}

	return earliest(plan.NextAt, n.write(ctx, plan))
}

// read gathers the facts. The boot id is read anew every time.
func (n *run) read() Facts {
	bootID, err := n.BootID()
	if err != nil {
		bootID = ""

		if n.bootProblem != err.Error() {
			n.Logger.Warn("cannot tell which boot this is, so no grant can count", zap.Error(err))
		}
	}

	n.bootProblem = text(err)

	n.mu.Lock()
	defer n.mu.Unlock()

	now := time.Now()
	wish := wishOf(n.signs, n.wish, now)

	switch {
	case wish.Wanted && !n.wish.Wanted:
		n.Logger.Info("the machine wants to be rebooted", zap.String("reason", wish.Reason))
	case !wish.Wanted && n.wish.Wanted:
		n.Logger.Info("the machine does not want to be rebooted any more")
	}

	n.wish = wish

	facts := Facts{Now: now, BootID: bootID, Wish: wish, HasNode: n.node != nil, Attempt: n.attempt, Obstacle: n.obstacle}
	if n.node != nil {
		facts.Report, facts.Grant = n.node.Annotations[v1alpha1.AgentAnnotation], n.node.Annotations[v1alpha1.GrantAnnotation]
	}

	return facts
}

// note tells others, and logs what a grant leads to when that is news.
func (n *run) note(plan Plan) {
	if n.Status != nil {
		n.Status(Status{Wanted: plan.Report.Wanted, Since: plan.Report.WantedSince, Granted: plan.Verdict.Counts()})
	}

	// Every reboot that is asked for is news.
	key := fmt.Sprint(plan.Verdict, plan.Grant, plan.Reason)
	if key == n.noted {
		return
	}

	n.noted = key
	fields := []zap.Field{
		zap.String("reason", plan.Reason), zap.String("uid", string(plan.Grant.UID)), zap.String("boot_id", plan.Grant.BootID),
	}

	switch plan.Verdict {
	case VerdictReboot:
		if n.DryRun {
			n.Logger.Info("would reboot the machine", fields...)
		} else {
			n.Logger.Info("rebooting the machine", fields...)
		}
	case VerdictMalformed, VerdictUnknownBoot:
		n.Logger.Warn("the grant on the node does not count", zap.String("reason", plan.Reason))
	case VerdictOtherBoot:
		n.Logger.Info("the grant on the node does not count", zap.String("reason", plan.Reason))
	case VerdictAgreed:
		n.Logger.Info("the reboot was agreed to, waiting for the machine to go down", fields[1:]...)
	case VerdictFailed:
		n.Logger.Error("failed to reboot the machine, will try again", append(fields, zap.Time("next_at", plan.NextAt))...)
	case VerdictNone, VerdictUnderWay:
	}
}

// reboot asks for the reboot, beside the loop: it may take its time.
func (n *run) reboot(ctx context.Context, grant v1alpha1.Grant) {
	n.mu.Lock()
	n.attempt = n.attempt.Begin(grant)
	n.mu.Unlock()

	n.work.Go(func() {
		limited, cancel := context.WithTimeoutCause(ctx, rebootTimeout, fmt.Errorf("no answer within %s", rebootTimeout))
		defer cancel()

		err := n.Reboot(limited)
		if ctx.Err() != nil {
			return // the agent was told to end, most likely by this very reboot
		}

		n.update(func() { n.attempt = n.attempt.End(time.Now(), err) })
	})
}

// write writes the report if the Node says something else. It returns when to try again; zero if all is well.
func (n *run) write(ctx context.Context, plan Plan) time.Time {
	switch {
	case !plan.Write:
		return time.Time{}
	case n.DryRun:
		if report := plan.Report.String(); report != n.wouldWrite {
			n.wouldWrite = report
			n.Logger.Info("would report on the node", zap.String("report", report))
		}

		return time.Time{}
	case time.Now().Before(n.writeNotBefore):
		return n.writeNotBefore
	}

	err := n.send(ctx, plan.Report)
	if ctx.Err() != nil {
		return time.Time{}
	}

	if err == nil {
		n.writeProblem, n.writeDelay = "", newDelay()
		n.writeNotBefore = time.Now().Add(writeInterval)

		return time.Time{}
	}

	if problem := kube.Describe(err); problem != n.writeProblem {
		n.writeProblem = problem
		n.Logger.Warn("cannot tell on the node whether a reboot is wanted", zap.String("node", n.Node), zap.String("problem", problem))
	}

	n.writeNotBefore = time.Now().Add(n.writeDelay.Step())

	return n.writeNotBefore
}

// send makes a connection for the one report: they are few, and the certificate may have been rotated since the last.
func (n *run) send(ctx context.Context, report v1alpha1.AgentReport) error {
	connection, err := n.Connect()
	if err != nil {
		return err
	}

	defer connection.Close()

	node, err := connection.AnnotateNode(ctx, n.Node, v1alpha1.AgentAnnotation, report.String())
	if err != nil {
		return err
	}

	n.update(func() {
		n.written = node.ResourceVersion

		// There may be a grant in it that the watch has not told of, or the watch has told of one that came after it.
		if n.node == nil || !isOlder(node, n.node.ResourceVersion) {
			n.node = node
		}
	})

	return nil
}

// check looks again and again whether a reboot could work.
func (n *run) check(ctx context.Context) {
	ticker := time.NewTicker(checkPeriod)
	defer ticker.Stop()

	problem := "" // as it was logged last

	for {
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		err := n.Check(limited)

		cancel()

		if ctx.Err() != nil {
			return
		}

		if err != nil && err.Error() != problem {
			n.Logger.Warn("cannot reboot the machine, so the coordinator is told to grant none", zap.Error(err))
		}

		problem = text(err)
		n.update(func() { n.obstacle = problem })

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow keeps up with the Node. Whenever the watch breaks, the Node is read anew, with the credentials as they are then: a
// grant is seen even if no watch ever lasts.
func (n *run) follow(ctx context.Context) {
	delay, problem := newDelay(), "" // the problem that was logged last

	for {
		began := time.Now()
		err := n.connect(ctx)

		if ctx.Err() != nil {
			return
		}

		if err == nil || time.Since(began) > steadyTime {
			problem, delay = "", newDelay()
		}

		if err != nil && kube.Describe(err) != problem {
			problem = kube.Describe(err)
			n.Logger.Warn("cannot watch the node for a grant", zap.String("node", n.Node), zap.String("problem", problem))
		}

		timer := time.NewTimer(delay.Step())

		select {
		case <-ctx.Done():
			timer.Stop()

			return
		case <-timer.C:
		}
	}
}

func (n *run) connect(ctx context.Context) error {
	connection, err := n.Connect()
	if err != nil {
		return err
	}

	defer connection.Close()

	first := true

	return connection.WatchNode(ctx, n.Node, func(node *metav1.PartialObjectMetadata) {
		n.update(func() {
			// What is read first counts even if its version is an older one, as after a backup was restored.
			if first {
				n.written = ""
			}

			if n.isNews(node) {
				n.node = node
			}

			first = false
		})
	})
}

// isNews tells whether a Node is not older than the one with the last report.
func (n *run) isNews(node *metav1.PartialObjectMetadata) bool {
	return node == nil || n.written == "" || !isOlder(node, n.written)
}

// isOlder tells whether a Node is older than a version. One that cannot be compared is not.
func isOlder(node *metav1.PartialObjectMetadata, than string) bool {
	order, err := resourceversion.CompareResourceVersion(node.ResourceVersion, than)

	return err == nil && order < 0
}

func text(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

// earliest is the earliest of two times that are not zero; zero if both are.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}

	return a
}

// newDelay returns growing delays, spread so that nodes that lost the API server together do not ask together.
func newDelay() *wait.Backoff {
	return &wait.Backoff{Duration: connectDelay, Factor: 2, Jitter: 0.2, Steps: 12, Cap: connectLimit}
}
