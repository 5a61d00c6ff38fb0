// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/talos-rebound/rebound/internal/kubereboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// DefaultRebootTimeout is how long rebound reboot --wait waits: nodes go one after the other, each with its drain.
	DefaultRebootTimeout = time.Hour
	// maxReason is how many characters the API server takes for the reason of a NodeReboot.
	maxReason = 256
)

// KubeAccess says which cluster is meant. The zero value is what a kubectl without flags uses.
type KubeAccess struct {
	// Kubeconfig is the path of a kubeconfig; empty means the files that kubectl reads.
	Kubeconfig string
	// KubeContext is the name of the context in it; empty means the one that it calls current.
	KubeContext string
}

// open prepares a connection. It sends nothing yet, so an error is one of the configuration.
func (access KubeAccess) open() (*kubereboot.Client, error) {
	return kubereboot.Open(access.Kubeconfig, access.KubeContext)
}

// RebootOptions are what rebound reboot may be given.
type RebootOptions struct {
	Access KubeAccess
	// Nodes are the names of the nodes.
	Nodes []string
	// Reason, Priority and Force are those of the NodeReboots. Nil leaves those of a request that is already there.
	Reason   *string
	Priority *int32
	Force    *bool
	// NotBefore is the earliest time, as ParseNotBefore takes it; empty means that none was given.
	NotBefore string
	// Wait waits until all nodes have been rebooted, for Timeout at most, which has to be positive then.
	Wait    bool
	Timeout time.Duration
}

// forced is what --force does, for who has just given it.
const forced = "force: windows, gates, cooldown, quorum and PodDisruptionBudgets are passed over; each node still takes a slot"

// Reboot asks for a reboot of every node, or of none if there is no Node of one of the names. What was asked for is printed
// to out, and with Wait every change until all of them are done. ExitCode tells the exit code of the error.
func Reboot(ctx context.Context, options RebootOptions, out io.Writer) error {
	request, err := options.request(time.Now())
	if err != nil {
		return err
	}

	nodes, err := nodeNames(options.Nodes)
	if err != nil {
		return err
	}

	client, err := options.Access.open()
	if err != nil {
		return err
	}

	defer client.Close()

	present, err := readReboots(ctx, client)
	if err != nil {
		return err
	}

	if err = checkNodes(ctx, client, nodes); err != nil {
		return err
	}

	if request.force != nil && *request.force {
		fmt.Fprintln(out, forced)
	}

	asked, err := askAll(ctx, client, request, nodes, present, out)
	if err != nil || !options.Wait {
		return err
	}

	return waitForReboots(ctx, client, asked, options.Timeout, out)
}

// request checks the flags.
func (options RebootOptions) request(now time.Time) (rebootRequest, error) {
	request := rebootRequest{reason: options.Reason, priority: options.Priority, force: options.Force, now: now}

	switch {
	case options.Wait && options.Timeout <= 0:
		return request, fmt.Errorf("--timeout is %s, which has to be more than zero", options.Timeout)
	case options.Reason != nil && utf8.RuneCountInString(*options.Reason) > maxReason:
		return request, fmt.Errorf("--reason has %d characters, and there is room for %d", utf8.RuneCountInString(*options.Reason), maxReason)
	case options.NotBefore == "":
		return request, nil
	}

	at, err := ParseNotBefore(options.NotBefore, now)
	if err != nil {
		return request, fmt.Errorf("--not-before %q %w", options.NotBefore, err)
	}

	request.notBefore = &at

	return request, nil
}

// nodeNames checks names, and leaves out repetitions.
func nodeNames(names []string) ([]string, error) {
	var result []string

	for _, name := range names {
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			return nil, fmt.Errorf("%q cannot be the name of a Node", name)
		}

		if !slices.Contains(result, name) {
			result = append(result, name)
		}
	}

	return result, nil
}

// checkNodes is an error if there is no Node of one of the names.
func checkNodes(ctx context.Context, client *kubereboot.Client, names []string) error {
	var unknown []string

	for _, name := range names {
		node, err := client.Node(ctx, name)

		switch {
		case err != nil:
			return rebootError(ctx, err)
		case node == nil:
			unknown = append(unknown, name)
		}
	}

	if len(unknown) > 0 {
		return fmt.Errorf("there is no Node of the name %s; nothing was asked for", strings.Join(unknown, ", "))
	}

	return nil
}

// askAll asks for every reboot and goes on after an error. It returns the NodeReboots as they are then.
func askAll(
	ctx context.Context, client *kubereboot.Client, request rebootRequest, nodes []string, present map[string]*v1alpha1.NodeReboot, out io.Writer,
) ([]v1alpha1.NodeReboot, error) {
	var (
		asked []v1alpha1.NodeReboot
		errs  []error
	)

	for _, node := range nodes {
		said := ""

		reboot, err := client.Settle(ctx, node, present[node], func(current *v1alpha1.NodeReboot) (wanted *v1alpha1.NodeReboot, err error) {
			wanted, said, err = request.ask(node, current)

			return wanted, err
		})
		if err != nil {
			errs = append(errs, rebootError(ctx, err))

			continue
		}

		fmt.Fprintf(out, "%s: %s\n", node, said)

		asked = append(asked, *reboot)
	}

	return asked, errors.Join(errs...)
}

// readReboots lists the NodeReboots, by name. That is the first thing that is asked of a cluster: it shows whether it knows
// them.
func readReboots(ctx context.Context, client *kubereboot.Client) (map[string]*v1alpha1.NodeReboot, error) {
	reboots, err := client.NodeReboots(ctx)
	if err != nil {
		return nil, rebootError(ctx, err)
	}

	present := map[string]*v1alpha1.NodeReboot{}
	for i := range reboots {
		present[reboots[i].Name] = &reboots[i]
	}

	return present, nil
}

// refusal is an error of what may not be done to the reboot of one node, while something else may be done to others.
type refusal struct{ error }

// rebootError is an error of a command that asks Kubernetes, with what to do about it.
func rebootError(ctx context.Context, err error) error {
	if ctx.Err() == nil && kubereboot.IsNotInstalled(err) {
		return fmt.Errorf("%w; apply the manifests of rebound-coordinator first", err)
	}

	return kubernetesError(ctx, err)
}

// kubernetesError does the same for what every cluster has.
func kubernetesError(ctx context.Context, err error) error {
	var refused refusal

	switch {
	case errors.As(err, &refused):
		return failure{err}
	case ctx.Err() != nil:
		return ended(ctx, "")
	case kubereboot.IsRefused(err):
		return err
	case kubereboot.IsAnswer(err):
		return failure{err}
	default:
		return failure{fmt.Errorf("%w; check that the API server is up, and that --kubeconfig and --kube-context mean this cluster", err)}
	}
}

// KubernetesNodes are the names of all Nodes, as shells complete them.
func KubernetesNodes(ctx context.Context, access KubeAccess) ([]string, error) {
	client, err := access.open()
	if err != nil {
		return nil, err
	}

	defer client.Close()

	return client.NodeNames(ctx)
}

// NodesWithReboot are the names of the nodes for which a reboot was asked for, as shells complete them.
func NodesWithReboot(ctx context.Context, access KubeAccess) ([]string, error) {
	client, err := access.open()
	if err != nil {
		return nil, err
	}

	defer client.Close()

	reboots, err := client.NodeReboots(ctx)
	names := make([]string, 0, len(reboots))

	for i := range reboots {
		names = append(names, reboots[i].Name)
	}

	return names, err
}
