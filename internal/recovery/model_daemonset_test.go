// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"cmp"
	"slices"
	"time"
)

// daemonSet is a DaemonSet as far as one node is concerned.
type daemonSet struct {
	namespace, group, name, uid string
	// generation is that of the spec, observed the one that the controller has acted on.
	generation, observed int64
	// wanted is whether the node fits its selector, surges whether it may have a second pod there during an update.
	wanted, surges bool
}

// controllerStep is something that the DaemonSet controller may do about one node.
type controllerStep struct {
	// deletes is the pod to delete; nil for a create.
	deletes *podObject
	// failed is whether it deletes the pod because it has failed, for which there is a back-off.
	failed bool
}

// daemonSetController is the one of Kubernetes, as of 1.36: podsShouldBeOnNode and rollingUpdate in pkg/controller/daemon.
type daemonSetController struct {
	backOffs backOffs
}

func (c *daemonSetController) key(ds *daemonSet) backOffKey {
	return backOffKey{daemonSetUID: ds.uid, generation: ds.observed}
}

// steps are what the controller may do now about a DaemonSet that has the pods on the node.
func (c *daemonSetController) steps(ds *daemonSet, pods []*podObject, now time.Time) []controllerStep {
	switch {
	case !ds.wanted:
		return removals(pods)
	case len(pods) > 0:
		return append(c.replacements(ds, pods, now), c.updates(ds, pods)...)
	default:
		if c.backOffs.wrong == backsOffFromCreates && now.Before(c.backOffs.over(c.key(ds), now)) {
			return nil
		}

		return []controllerStep{{}}
	}
}

// replacements are what there is to do about pods that have failed, or are one too many.
func (c *daemonSetController) replacements(ds *daemonSet, pods []*podObject, now time.Time) []controllerStep {
	var (
		steps   []controllerStep
		running []*podObject
	)

	for _, pod := range pods {
		switch {
		case pod.Deleting:
		case pod.Failed:
			if !now.Before(c.backOffs.over(c.key(ds), now)) {
				steps = append(steps, controllerStep{deletes: pod, failed: true})
			}
		default:
			running = append(running, pod)
		}
	}

	slices.SortFunc(running, func(a, b *podObject) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID)) })

	switch {
	case len(running) > 1:
		for _, pod := range running[1:] {
			steps = append(steps, controllerStep{deletes: pod})
		}
	case len(running) == 0 && ds.surges:
		steps = append(steps, controllerStep{})
	}

	return steps
}

// removals are the deletes of all pods.
func removals(pods []*podObject) []controllerStep {
	var steps []controllerStep

	for _, pod := range pods {
		if !pod.Deleting {
			steps = append(steps, controllerStep{deletes: pod})
		}
	}

	return steps
}

// updates are the deletes of a rolling update of a DaemonSet that has one pod on the node. For them there is no back-off.
func (c *daemonSetController) updates(ds *daemonSet, pods []*podObject) []controllerStep {
	if ds.surges || len(pods) != 1 || pods[0].Deleting || pods[0].template == ds.generation {
		return nil
	}

	return []controllerStep{{deletes: pods[0]}}
}

// did is what the controller remembers of a step.
func (c *daemonSetController) did(ds *daemonSet, step controllerStep, now time.Time) {
	if step.failed {
		c.backOffs.next(c.key(ds), now)
	}
}
