// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

// BackoffStatusOptions are what rebound backoff status may be given.
type BackoffStatusOptions struct {
	Access KubeAccess
	// DaemonSet and Node limit what is shown; empty means all.
	DaemonSet, Node string
	// Output is the format of the result.
	Output Format
}

// backoffResult is what waits, for scripts. All texts in it can be printed as they are.
type backoffResult struct {
	Waits []waitResult `json:"waits"`
	// Hints are what makes the estimates worse, or what the pods wait for in place of a back-off.
	Hints []string `json:"hints"`
}

type waitResult struct {
	DaemonSet   string    `json:"daemonSet"`
	Node        string    `json:"node"`
	Pod         string    `json:"pod"`
	Reason      string    `json:"reason"`
	Deleting    bool      `json:"deleting"`
	OptedOut    bool      `json:"optedOut"`
	FailedSince time.Time `json:"failedSince"`
	// DeletedAt is when the DaemonSet controller last deleted a pod there, Deletes how often in a row, as far as events tell.
	DeletedAt time.Time `json:"deletedAt,omitzero"`
	Deletes   int       `json:"deletes"`
	// NextAttempt is an estimate; null if the pod is overdue.
	NextAttempt *attemptResult `json:"nextAttempt"`
}

type attemptResult struct {
	Earliest time.Time `json:"earliest"`
	Likely   time.Time `json:"likely"`
	Latest   time.Time `json:"latest"`
}

// BackoffStatus prints the Failed pods of DaemonSets, and when their controllers will delete them as far as that can be told.
// That there are some is a result, not an error.
func BackoffStatus(ctx context.Context, options BackoffStatusOptions, out io.Writer) error {
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

	result := backoffResult{Waits: []waitResult{}, Hints: []string{}}
	now := time.Now()

	var attempts []kubebackoff.Attempt

	if len(pods) > 0 {
		namespace, _, _ := strings.Cut(scope.DaemonSet, "/")

		if attempts, err = client.Attempts(ctx, namespace); err != nil && ctx.Err() != nil {
			return kubernetesError(ctx, err)
		} else if err != nil {
			result.Hints = append(result.Hints, "the estimates are made without events: "+kube.Describe(err))
		}
	}

	overdue := 0

	for _, pod := range pods {
		wait := kubebackoff.Estimate(pod, attempts, now)
		if wait.Overdue && !pod.Deleting {
			overdue++
		}

		result.Waits = append(result.Waits, judgeWait(wait))
	}

	if overdue > 0 {
		result.Hints = append(result.Hints, fmt.Sprintf("%d waited for longer than the longest back-off; is kube-controller-manager running?", overdue))
	}

	slices.SortFunc(result.Waits, func(a, b waitResult) int {
		return cmp.Or(cmp.Compare(a.DaemonSet, b.DaemonSet), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod))
	})

	if options.Output == FormatJSON {
		return encode(out, result)
	}

	return result.write(out, now)
}

func judgeWait(wait kubebackoff.Wait) waitResult {
	pod := wait.Pod

	result := waitResult{
		DaemonSet: printable(pod.DaemonSetID()), Node: printable(pod.NodeName), Pod: printable(pod.Name), Reason: pod.Reason,
		Deleting: pod.Deleting, OptedOut: pod.OptedOut, FailedSince: wait.FailedSince.UTC(), DeletedAt: wait.DeletedAt.UTC(), Deletes: wait.Deletes,
	}

	if !wait.Overdue {
		result.NextAttempt = &attemptResult{wait.Earliest.UTC(), wait.Likely.UTC(), wait.Latest.UTC()}
	}

	return result
}

func (result backoffResult) write(out io.Writer, now time.Time) error {
	if len(result.Waits) == 0 {
		fmt.Fprintln(out, "no pod of a DaemonSet is Failed")

		return nil
	}

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "DAEMONSET\tNODE\tPOD\tREASON\tFAILED FOR\tDELETES\tNEXT ATTEMPT (ESTIMATE)")

	for _, wait := range result.Waits {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", wait.DaemonSet, wait.Node, wait.Pod, cmp.Or(wait.Reason, "-"),
			age(wait.FailedSince, now), wait.Deletes, wait.next(now))
	}

	if err := table.Flush(); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	for _, hint := range result.Hints {
		fmt.Fprintln(out, "hint: "+hint)
	}

	return nil
}

// next says when the pod will be deleted.
func (wait waitResult) next(now time.Time) string {
	until := func(at time.Time) string { return duration.HumanDuration(max(at.Sub(now), 0)) }

	switch {
	case wait.Deleting:
		return "being deleted"
	case wait.NextAttempt == nil:
		return "overdue"
	default:
		return fmt.Sprintf("in %s (%s to %s)", until(wait.NextAttempt.Likely), until(wait.NextAttempt.Earliest), until(wait.NextAttempt.Latest))
	}
}
