// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

// observeTimeout is how long a DaemonSet controller may take to see a change before it is missed.
const observeTimeout = 30 * time.Second

// BackoffResetOptions are what rebound backoff reset may be given.
type BackoffResetOptions struct {
	Access KubeAccess
	// DaemonSet is the DaemonSet as namespace/name.
	DaemonSet string
	// DryRun changes nothing.
	DryRun bool
}

// ResetBackoff raises the generation of a DaemonSet by a change that no pod sees and that it takes back, also when ctx ends in
// between, and waits until the DaemonSet controller has seen it.
func ResetBackoff(ctx context.Context, options BackoffResetOptions, out io.Writer) error {
	if options.DaemonSet == "" {
		return errors.New("name a DaemonSet with --daemonset namespace/name")
	}

	if _, err := backoffScope(options.DaemonSet, ""); err != nil {
		return err
	}

	namespace, name, _ := strings.Cut(options.DaemonSet, "/")
	if strings.Contains(name, "/") {
		return fmt.Errorf("--daemonset %q: only the DaemonSets of Kubernetes itself can be reset", options.DaemonSet)
	}

	client, err := options.Access.openBackoff()
	if err != nil {
		return err
	}

	defer client.Close()

	daemonSet, err := client.DaemonSet(ctx, namespace, name)
	if err != nil {
		return notFoundError(ctx, err, "there is no DaemonSet "+options.DaemonSet)
	}

	change, err := kubebackoff.PlanReset(daemonSet)
	if err != nil {
		return fmt.Errorf("DaemonSet %s is left alone: %w", options.DaemonSet, err)
	}

	plan := fmt.Sprintf("%s: spec.revisionHistoryLimit from %d to %d and back", options.DaemonSet, change.Limit, change.Raised)

	if options.DryRun {
		fmt.Fprintf(out, "%s; nothing was changed (dry run)\n", plan)

		return nil
	}

	before := daemonSet.Generation

	daemonSet, err = client.Reset(ctx, daemonSet)

	switch {
	case errors.Is(err, kubebackoff.ErrNotRestored):
		return failure{err}
	case err != nil:
		return kubernetesError(ctx, err)
	}

	fmt.Fprintf(out, "%s; its generation was %d and is %d\n", plan, before, daemonSet.Generation)

	waiting, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()

	seen, err := client.AwaitObserved(waiting, daemonSet)

	switch {
	case err != nil:
		return kubernetesError(ctx, err)
	case ctx.Err() != nil:
		return ended(ctx, "")
	case !seen:
		return failure{fmt.Errorf("the DaemonSet controller has not seen the change within %s; is kube-controller-manager running?", observeTimeout)}
	}

	fmt.Fprintf(out, "%s: the DaemonSet controller has seen it; its back-offs begin anew\n", options.DaemonSet)

	return nil
}
