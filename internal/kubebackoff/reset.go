// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubebackoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FieldManager is the owner of the field that Reset has written last.
const FieldManager = "rebound"

const (
	// maxAttempts is how often a patch is tried while others write the DaemonSet, which its controller does after every change.
	maxAttempts = 20
	// restoreTimeout is how long it is tried to restore the value.
	restoreTimeout = 30 * time.Second
)

// ErrNotRestored is that the DaemonSet has the raised value. The text says how to restore it.
var ErrNotRestored = errors.New("the value was not restored")

// Change is how a DaemonSet gets another generation.
type Change struct {
	// Limit is the revisionHistoryLimit that the DaemonSet has, Raised the one that it has for a moment.
	Limit, Raised int32
}

// PlanReset says what to change, or why nothing may be.
//
// The field is spec.revisionHistoryLimit. In Kubernetes 1.36 (pkg/controller/daemon) the hash of a revision, and the revision
// itself, are those of spec.template alone (update.go, snapshot and getPatch), and the limit is looked at only where old
// revisions are deleted (cleanupHistory): one more deletes none, and there are never more than the old limit to delete
// afterwards. Other fields say something about pods: minReadySeconds makes pods unavailable, which holds up a rollout, and
// maxUnavailable lets a rollout delete more of them.
func PlanReset(daemonSet *appsv1.DaemonSet) (Change, error) {
	switch limit := daemonSet.Spec.RevisionHistoryLimit; {
	case daemonSet.DeletionTimestamp != nil:
		return Change{}, errors.New("it is being deleted")
	case limit == nil:
		return Change{}, errors.New("the API server tells no revisionHistoryLimit")
	case *limit == math.MaxInt32:
		// That many revisions there cannot be, so one less deletes none either.
		return Change{Limit: *limit, Raised: *limit - 1}, nil
	default:
		return Change{Limit: *limit, Raised: *limit + 1}, nil
	}
}

// DaemonSet reads a DaemonSet.
func (c *Client) DaemonSet(ctx context.Context, namespace, name string) (*appsv1.DaemonSet, error) {
	return request(ctx, fmt.Sprintf("failed to read DaemonSet %q", namespace+"/"+name), func(ctx context.Context) (*appsv1.DaemonSet, error) {
		return c.apps.DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
	})
}

// Reset changes the DaemonSet and changes it back, and returns it as it is then: its generation has been raised twice. Once it
// has begun it does both, whatever becomes of ctx. Nothing is written over what others have written to the field meanwhile.
//
// The error wraps ErrNotRestored if the value stays.
func (c *Client) Reset(ctx context.Context, daemonSet *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	change, err := PlanReset(daemonSet)
	if err != nil {
		return nil, err
	}

	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}

	// What is broken off in the middle may be carried out later than what comes after it.
	ctx = context.WithoutCancel(ctx)

	raised, err := c.setLimit(ctx, daemonSet, change.Limit, change.Raised)

	switch {
	case isAnswer(err):
		return nil, err
	case err != nil:
		// It is not known whether it was carried out. If it was not, what follows changes nothing.
		raised = daemonSet
	}

	restored, restoreErr := c.restore(ctx, raised, change)

	switch {
	case restoreErr != nil && !apierrors.IsNotFound(restoreErr) && !errors.Is(restoreErr, errReplaced):
		return nil, fmt.Errorf("%w: %w; restore it with: kubectl -n %s patch daemonset %s --type=merge -p '{\"spec\":{\"revisionHistoryLimit\":%d}}'",
			ErrNotRestored, restoreErr, daemonSet.Namespace, daemonSet.Name, change.Limit)
	case restoreErr != nil:
		return nil, restoreErr
	case err != nil:
		return nil, err
	default:
		return restored, nil
	}
}

// restore gives the DaemonSet its value back, and tries again when the API server cannot be reached.
func (c *Client) restore(ctx context.Context, raised *appsv1.DaemonSet, change Change) (*appsv1.DaemonSet, error) {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()

	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()

	for {
		restored, err := c.setLimit(ctx, raised, change.Raised, change.Limit)
		if err == nil || isAnswer(err) || ctx.Err() != nil {
			return restored, err
		}

		select {
		case <-ctx.Done():
			return nil, err
		case <-ticker.C:
		}
	}
}

// isAnswer is true if it was the API server that said no, or the object that has been replaced: then nothing was changed.
func isAnswer(err error) bool {
	var answer apierrors.APIStatus

	return errors.As(err, &answer) || errors.Is(err, errReplaced)
}

// errReplaced is that the DaemonSet is another one of the same name.
var errReplaced = errors.New("it was deleted and created again")

// setLimit turns one value of the limit into another. If it is neither, somebody else has written it: then it is left alone,
// which is no error, for the generation has been raised all the same.
func (c *Client) setLimit(ctx context.Context, current *appsv1.DaemonSet, from, to int32) (*appsv1.DaemonSet, error) {
	uid := current.UID
	doing := fmt.Sprintf("failed to change DaemonSet %q", current.Namespace+"/"+current.Name)

	for attempt := 1; ; attempt++ {
		patch, err := limitPatch(current, to)
		if err != nil {
			return nil, requestError{doing, err}
		}

		changed, err := request(ctx, doing, func(ctx context.Context) (*appsv1.DaemonSet, error) {
			return c.apps.DaemonSets(current.Namespace).Patch(ctx, current.Name, types.MergePatchType, patch,
				metav1.PatchOptions{FieldManager: FieldManager})
		})
		if !apierrors.IsConflict(err) || attempt == maxAttempts {
			return changed, err
		}

		if current, err = c.DaemonSet(ctx, current.Namespace, current.Name); err != nil {
			return nil, err
		}

		switch limit := current.Spec.RevisionHistoryLimit; {
		case current.UID != uid:
			return nil, requestError{doing, errReplaced}
		case limit == nil || *limit != from:
			return current, nil
		}
	}
}

// limitPatch is the merge patch that sets the limit, unless the DaemonSet has changed since.
func limitPatch(daemonSet *appsv1.DaemonSet, limit int32) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": daemonSet.ResourceVersion, "uid": daemonSet.UID},
		"spec":     map[string]any{"revisionHistoryLimit": limit},
	})
}

// AwaitObserved waits until the DaemonSet controller has seen a generation: only then is the key another one. It returns false if
// the generation was not seen before ctx ended.
func (c *Client) AwaitObserved(ctx context.Context, daemonSet *appsv1.DaemonSet) (bool, error) {
	ticker := time.NewTicker(observeInterval)
	defer ticker.Stop()

	for {
		current, err := c.DaemonSet(ctx, daemonSet.Namespace, daemonSet.Name)

		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, err
		case current.Status.ObservedGeneration >= daemonSet.Generation:
			return true, nil
		}

		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
	}
}

// observeInterval is the time between two looks at what others write.
const observeInterval = 500 * time.Millisecond
