// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siderolabs/go-retry/retry"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/recovery"
)

const (
	// parallelDeletes is how many pods are deleted at a time. A full node is done within a second, and the API server sees
	// no burst when a whole cluster reboots.
	parallelDeletes = 4

	// A delete that fails is retried at these intervals, until no other try is begun and it is left to the next decision.
	retryInterval = 500 * time.Millisecond
	retryJitter   = 100 * time.Millisecond
	retryTime     = 10 * time.Second
)

// errGateClosed is why a delete was not sent.
var errGateClosed = errors.New("the gate is closed")

// delete deletes the pod in the background; how it ends is among the next outcomes. While the connection is broken, or the
// pod is being deleted already, it does nothing and the next decision asks again.
func (s *session) delete(verdict recovery.Verdict) {
	pod := verdict.Pod

	s.mu.Lock()
	defer s.mu.Unlock()

	connection := s.current
	if connection == nil || s.inFlight[pod.UID] {
		return
	}

	s.inFlight[pod.UID] = true
	looks := s.looksTaken

	s.work.Go(func() {
		result, err := s.tryDelete(connection, pod, looks)

		if result == recovery.ResultDeleted {
			s.logger.Info("deleted Failed DaemonSet pod",
				zap.String("namespace", pod.Namespace), zap.String("pod", pod.Name),
				zap.String("daemon_set", pod.Owner.Name), zap.String("reason", verdict.Reason))
		}

		s.update(func() {
			s.outcomes = append(s.outcomes, recovery.Outcome{
				DaemonSet: pod.DaemonSetID(), PodUID: pod.UID, Result: result, Error: describe(err),
			})
		})

		if result == recovery.ResultDeleted {
			// The pod is gone whether or not the event gets through.
			if err := s.recordDeletion(connection, pod, verdict.Reason); err != nil {
				s.logger.Debug("failed to record the delete of a pod", zap.String("pod", pod.Name), zap.String("problem", kube.Describe(err)))
			}
		}

		// Until now the connection was needed, though the node may have recovered.
		s.update(func() { delete(s.inFlight, pod.UID) })
	})
}

// recordDeletion leaves the event of a delete, when those of others are left: nobody waits for it, and deletes go ahead.
func (s *session) recordDeletion(connection *connected, pod recovery.Pod, reason string) (err error) {
	defer recoverTo(&err, s.logger)

	at := s.config.now()

	select {
	case s.recording <- struct{}{}:
		defer func() { <-s.recording }()
	case <-connection.ctx.Done():
		return context.Cause(connection.ctx)
	}

	return connection.RecordDeletion(connection.ctx, pod, reason, at)
}

// tryDelete deletes the pod, again and again for a while if need be. The error is that of the last try; nil if there was
// none. looks is how many looks had begun when the pod was seen to be Failed.
func (s *session) tryDelete(connection *connected, pod recovery.Pod, looks int) (result recovery.Result, err error) {
	defer func() {
		if err != nil && result == recovery.ResultDeleted { // a panic
			result = recovery.ResultFailed
		}
	}()
	defer recoverTo(&err, s.logger)

	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-connection.ctx.Done():
		return recovery.ResultAbandoned, nil
	}

	var last error

	// What it returns joins the errors of all tries, where the last one alone tells how it ended.
	_ = retry.Exponential(retryTime, retry.WithUnits(retryInterval), retry.WithJitter(retryJitter)).
		RetryWithContext(connection.ctx, func(context.Context) error {
			// Not the context that the time for new tries ends: a try that a webhook holds up would never be answered.
			last = s.deleteOnce(connection.ctx, connection, pod, looks) //nolint:contextcheck // as it says above
			looks = connection.looks.count()

			if isFinal(last) {
				return last
			}

			return retry.ExpectedError(last)
		})

	switch {
	case last == nil:
		return recovery.ResultDeleted, nil
	case errors.Is(last, errGateClosed), connection.ctx.Err() != nil:
		return recovery.ResultAbandoned, nil
	case kube.IsGone(last):
		return recovery.ResultGone, nil
	case kube.IsRefused(last):
		return recovery.ResultRefused, last
	}

	if kube.IsIdentity(last) {
		// A new connection reads the certificate anew.
		connection.interrupt(last)
	}

	return recovery.ResultFailed, last
}

// isFinal tells whether trying again at once is of no use.
func isFinal(err error) bool {
	return err == nil || errors.Is(err, errGateClosed) || kube.IsGone(err) || kube.IsRefused(err) || kube.IsIdentity(err)
}

// deleteOnce checks the whole gate once more, Talos' part and the API server's, and deletes the pod.
func (s *session) deleteOnce(ctx context.Context, connection *connected, pod recovery.Pod, looks int) error {
	if !s.mayDelete(ctx) {
		return errGateClosed
	}

	// Whatever keeps the Node from being read, a new connection looks into it and reports it. Its words must not be taken
	// for those about the pod: a Node that is gone is no pod that is gone.
	node, err := connection.looks.after(looks, func() (_ recovery.Node, err error) {
		defer recoverTo(&err, s.logger)

		return connection.Node(ctx, s.key.node)
	})
	if err != nil {
		connection.interrupt(err)

		return fmt.Errorf("%w: %s", errGateClosed, kube.Describe(err))
	}

	switch obstacle, message := s.nodeObstacle(node); obstacle {
	case recovery.ObstacleNone:
	case recovery.ObstacleNodeShutdown:
		s.update(func() { s.link.Node = node })

		return errGateClosed
	default:
		err = fmt.Errorf("%w: %s", errGateClosed, message)
		connection.interrupt(err)

		return err
	}

	return connection.DeletePod(ctx, pod)
}

func describe(err error) string {
	if err == nil {
		return ""
	}

	return kube.Describe(err)
}
