// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
	"github.com/talos-rebound/rebound/internal/recovery"
)

// clearedAtATime is how many nodes are worked on at a time: a few, as the controllers on the nodes do it.
const clearedAtATime = 4

// BackoffClearOptions are what rebound backoff clear may be given.
type BackoffClearOptions struct {
	Access KubeAccess
	// DaemonSet and Node limit which pods are looked at; empty means all.
	DaemonSet, Node string
	// DryRun deletes nothing.
	DryRun bool
	// Output is the format of the result.
	Output Format
}

// clearResult is what became of the pods, for scripts.
type clearResult struct {
	DryRun bool            `json:"dryRun"`
	Pods   []clearedResult `json:"pods"`
}

type clearedResult struct {
	DaemonSet string              `json:"daemonSet"`
	Node      string              `json:"node"`
	Pod       string              `json:"pod"`
	Outcome   kubebackoff.Outcome `json:"outcome"`
	Reason    string              `json:"reason"`
}

// ClearBackoff deletes the Failed pods of DaemonSets that the controller on their nodes would delete, each of them once, and
// prints what became of every one. Also if it ends early, what was done until then is printed.
func ClearBackoff(ctx context.Context, options BackoffClearOptions, out io.Writer) error {
	scope, err := backoffScope(options.DaemonSet, options.Node)
	if err != nil {
		return err
	}

	client, err := options.Access.openBackoff()
	if err != nil {
		return err
	}

	defer client.Close()

	pods, err := client.FailedPods(ctx, scope)
	if err != nil {
		return kubernetesError(ctx, err)
	}

	results, err := clearNodes(ctx, client, pods, options.DryRun)

	if writeErr := writeCleared(out, options, results); writeErr != nil {
		return writeErr
	}

	failed := 0

	for _, result := range results {
		if result.Outcome == kubebackoff.Failed {
			failed++
		}
	}

	switch {
	case err != nil:
		return err
	case failed > 0:
		return failure{fmt.Errorf("failed to delete %d of %d pods", failed, len(results))}
	default:
		return nil
	}
}

// clearNodes works on all nodes, also after an error on one of them. All errors are those of commands.
func clearNodes(ctx context.Context, client *kubebackoff.Client, pods []recovery.Pod, dryRun bool) ([]kubebackoff.Result, error) {
	byNode := map[string][]recovery.Pod{}
	for _, pod := range pods {
		byNode[pod.NodeName] = append(byNode[pod.NodeName], pod)
	}

	var (
		group   errgroup.Group
		mu      sync.Mutex
		results []kubebackoff.Result
		errs    []error
	)

	group.SetLimit(clearedAtATime)

	for node, pods := range byNode {
		group.Go(func() error {
			cleared, err := client.Clear(ctx, node, pods, dryRun)

			mu.Lock()
			defer mu.Unlock()

			results = append(results, cleared...)

			if err != nil && ctx.Err() == nil {
				errs = append(errs, kubernetesError(ctx, err))
			}

			return nil
		})
	}

	group.Wait() //nolint:errcheck // none returns one

	if ctx.Err() != nil {
		errs = append(errs, ended(ctx, ""))
	}

	return results, errors.Join(errs...)
}

func writeCleared(out io.Writer, options BackoffClearOptions, results []kubebackoff.Result) error {
	result := clearResult{DryRun: options.DryRun, Pods: []clearedResult{}}
	count := map[kubebackoff.Outcome]int{}

	for _, one := range results {
		count[one.Outcome]++
		result.Pods = append(result.Pods, clearedResult{
			DaemonSet: printable(one.Pod.DaemonSetID()), Node: printable(one.Pod.NodeName), Pod: printable(one.Pod.Name),
			Outcome: one.Outcome, Reason: one.Reason,
		})
	}

	slices.SortFunc(result.Pods, func(a, b clearedResult) int {
		return cmp.Or(cmp.Compare(a.DaemonSet, b.DaemonSet), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod))
	})

	switch {
	case options.Output == FormatJSON:
		return encode(out, result)
	case len(results) == 0:
		fmt.Fprintln(out, "no pod of a DaemonSet is Failed")

		return nil
	}

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "DAEMONSET\tNODE\tPOD\tOUTCOME\tREASON")

	for _, pod := range result.Pods {
		outcome := string(pod.Outcome)
		if options.DryRun && pod.Outcome == kubebackoff.Deleted {
			outcome = "would be deleted"
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", pod.DaemonSet, pod.Node, pod.Pod, outcome, pod.Reason)
	}

	if err := table.Flush(); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	verb := "deleted"
	if options.DryRun {
		verb = "to be deleted"
	}

	fmt.Fprintf(out, "%d %s, %d left alone, %d failed\n", count[kubebackoff.Deleted]+count[kubebackoff.Gone], verb, count[kubebackoff.Kept], count[kubebackoff.Failed])

	return nil
}
