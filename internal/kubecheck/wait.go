// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubecheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/pkg/check"
)

const (
	// listTimeout is how long the API server may take to list the Nodes.
	listTimeout = 10 * time.Second
	// relistInterval is how often they are listed in addition to watching them: a server that has gone without a word ends
	// no watch.
	relistInterval = 30 * time.Second
)

// FailedToList begins the words of the error that there is if the Nodes cannot be listed.
const FailedToList = "failed to list the Nodes: "

// RefusedError says that the caller may not list Nodes, which waiting will not change.
type RefusedError struct{ error }

// Judge lists the Nodes once and judges them. A node that was named and has no Node is unreachable, and so is one whose Node
// was there before.
func (cluster *Cluster) Judge(ctx context.Context) (check.Verdict, error) {
	verdict, _, err := cluster.list(ctx)

	return verdict, err
}

// Wait is check.Wait for a cluster that is asked through the Kubernetes API. A server that does not answer is waited for; a
// RefusedError is not.
func (cluster *Cluster) Wait(ctx context.Context, options check.WaitOptions) (check.Verdict, error) {
	if options.Interval <= 0 {
		options.Interval = check.DefaultInterval
	}

	if options.Report == nil {
		options.Report = func(check.Verdict) {}
	}

	w := waiter{Cluster: cluster, options: options}

	for {
		verdict, version, err := cluster.list(ctx)

		var refused RefusedError

		switch {
		case errors.As(err, &refused):
			return verdict, err
		case ctx.Err() != nil:
			return w.verdict, context.Cause(ctx)
		case err != nil:
			w.say(check.Verdict{Status: check.StatusFailing, Reason: err.Error()})
			w.pause(ctx)
		default:
			w.say(verdict)

			switch {
			case verdict.Settled():
				return verdict, nil
			case options.Poll:
				w.pause(ctx)
			case !w.watch(ctx, version):
				w.pause(ctx)
			}
		}
	}
}

// waiter is a Wait that goes on.
type waiter struct {
	*Cluster

	options check.WaitOptions
	// verdict is the last one; zero before the first.
	verdict check.Verdict
}

// say passes a verdict on if it is news.
func (w *waiter) say(verdict check.Verdict) {
	news := w.verdict.Status != verdict.Status || w.verdict.Reason != verdict.Reason

	w.verdict = verdict
	if news {
		w.options.Report(verdict)
	}
}

func (w *waiter) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(w.options.Interval):
	}
}

// watch follows the Nodes from a version on until it is time to list them again. It returns false if there was no watch, or
// if it broke off.
func (w *waiter) watch(ctx context.Context, version string) bool {
	relist := time.NewTimer(relistInterval)
	defer relist.Stop()

	watcher, err := w.nodes.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return false
	}
	defer watcher.Stop()

	for {
		select {
		case <-ctx.Done():
			return true
		case <-relist.C:
			return true
		case event, ok := <-watcher.ResultChan():
			if !ok || !w.take(event) {
				return false
			}

			w.say(check.Judge(w.answers()))

			// It passes only if a list says the same.
			if w.verdict.Settled() {
				return true
			}
		}
	}
}

// take notes what a watch says. It returns false if that is the end of the watch.
func (cluster *Cluster) take(event watch.Event) bool {
	node, ok := event.Object.(*corev1.Node)

	switch {
	case !ok:
		return false
	case event.Type == watch.Deleted:
		cluster.seen[node.Name] = missing(cluster.seen[node.Name].Node, errDeleted)
	default:
		cluster.seen[node.Name] = answer(node)
	}

	return true
}

// list asks for all Nodes, and returns the verdict on those that are meant with the version of the list.
func (cluster *Cluster) list(ctx context.Context) (check.Verdict, string, error) {
	limited, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("no answer within %s", listTimeout))
	defer cancel()

	list, err := cluster.nodes.List(limited, metav1.ListOptions{})

	switch {
	case err == nil:
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return check.Verdict{}, "", RefusedError{fmt.Errorf(FailedToList+"%s; it takes the rights to list and to watch nodes", check.OneLine(kube.Describe(err)))}
	case limited.Err() != nil:
		return check.Verdict{}, "", fmt.Errorf(FailedToList+"%w", context.Cause(limited))
	default:
		return check.Verdict{}, "", errors.New(FailedToList + check.OneLine(kube.Describe(err)))
	}

	for name, was := range cluster.seen {
		cluster.seen[name] = missing(was.Node, errDeleted)
	}

	for i := range list.Items {
		cluster.seen[list.Items[i].Name] = answer(&list.Items[i])
	}

	return check.Judge(cluster.answers()), list.ResourceVersion, nil
}

// answers are those of the nodes that are meant.
func (cluster *Cluster) answers() []check.Answer {
	if len(cluster.names) == 0 {
		return slices.Collect(maps.Values(cluster.seen))
	}

	answers := make([]check.Answer, 0, len(cluster.names))

	for _, name := range cluster.names {
		said, ok := cluster.seen[name]
		if !ok {
			said = missing(check.Node{Name: name}, errNoNode)
		}

		answers = append(answers, said)
	}

	return answers
}
