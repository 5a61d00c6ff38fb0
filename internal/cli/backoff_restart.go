// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/internal/kubebackoff"
)

// takeoverTimeout is how long it may take until another kube-controller-manager leads: a Lease is good for 15 s.
const takeoverTimeout = time.Minute

// BackoffRestartOptions are what rebound backoff restart-controller-manager may be given.
type BackoffRestartOptions struct {
	// Access is the Talos API, KubeAccess the Kubernetes API.
	Access     Access
	KubeAccess KubeAccess
	// Node is the name of the Node.
	Node string
	// DryRun only says what would be done. Yes does it without asking.
	DryRun, Yes bool
	// Answers is where the answer is read from, if Interactive is true; else nobody is there to be asked.
	Answers     io.Reader
	Interactive bool
}

// RestartControllerManager restarts the kube-controller-manager that leads, if another one can take over, and waits until that
// has happened.
func RestartControllerManager(ctx context.Context, options BackoffRestartOptions, out io.Writer) error {
	if err := options.check(); err != nil {
		return err
	}

	client, err := options.KubeAccess.openBackoff()
	if err != nil {
		return err
	}

	defer client.Close()

	talos, err := connect(ctx, options.Access)
	if err != nil {
		return err
	}

	defer talos.close()

	restart := restart{client: client, talos: talos, node: options.Node}

	if err = restart.plan(ctx); err != nil {
		return err
	}

	fmt.Fprintf(out, "%s leads; its container on node %s: %s\n", restart.leader.Identity, options.Node, restart.container)

	if options.DryRun {
		fmt.Fprintln(out, "nothing was restarted (dry run)")

		return nil
	}

	if !options.Yes {
		agreed, err := ask(ctx, options.Answers, out, "Restart it? No controller of the cluster works for up to half a minute. [y/N] ")
		if err != nil {
			return err
		}

		if !agreed {
			return failure{errors.New("nothing was restarted")}
		}

		// Somebody may have taken their time.
		if err = restart.plan(ctx); err != nil {
			return err
		}
	}

	if err = restart.apply(ctx); err != nil {
		return err
	}

	fmt.Fprintln(out, "it was told to end; waiting for another leader")

	waiting, cancel := context.WithTimeout(ctx, takeoverTimeout)
	defer cancel()

	leader, err := client.AwaitLeader(waiting, restart.leader)

	switch {
	case err != nil:
		return kubernetesError(ctx, err)
	case ctx.Err() != nil:
		return ended(ctx, "")
	case leader.Identity == "":
		return failure{fmt.Errorf("nobody else leads after %s; look at the pods of %s", takeoverTimeout, kubebackoff.ControllerManager)}
	}

	fmt.Fprintf(out, "%s leads now; all back-offs begin anew\n", leader.Identity)

	return nil
}

func (options BackoffRestartOptions) check() error {
	switch {
	case options.Node == "":
		return errors.New("name a node of the control plane with --node")
	case !areNames([]string{options.Node}):
		return fmt.Errorf("--node: %q cannot be the name of a Node", options.Node)
	case !options.DryRun && !options.Yes && !options.Interactive:
		return errors.New("this is no terminal, so nobody can be asked; give --yes, or --dry-run to see what would be done")
	default:
		return nil
	}
}

// restart is one in the making.
type restart struct {
	client *kubebackoff.Client
	talos  *cluster
	node   string

	address   string
	leader    kubebackoff.Leader
	container string
}

// plan looks at everything, and finds the container. An error says why nothing is to be restarted.
func (r *restart) plan(ctx context.Context) (err error) {
	replicas, err := r.client.Replicas(ctx)
	if err != nil {
		return kubernetesError(ctx, err)
	}

	if r.leader, err = r.client.Leader(ctx); err != nil {
		return kubernetesError(ctx, err)
	}

	replica, err := kubebackoff.PlanRestart(r.node, replicas, r.leader, time.Now())
	if err != nil {
		return fmt.Errorf("nothing was restarted: %w", err)
	}

	if r.address = replica.Address; r.address == "" {
		r.address = replica.Node
	}

	r.container, err = r.talos.controllerManager(ctx, r.address, r.node)

	return err
}

func (r *restart) apply(ctx context.Context) error {
	return r.talos.restartContainer(ctx, r.address, r.container)
}

// ask asks a question that is answered by yes or no. Nothing is no.
func ask(ctx context.Context, answers io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question)

	answered := make(chan string, 1)

	// A terminal cannot be told to stop reading; the process ends with the command.
	go func() {
		// An end without an answer is no.
		line, _ := bufio.NewReader(answers).ReadString('\n')
		answered <- line
	}()

	select {
	case <-ctx.Done():
		fmt.Fprintln(out)

		return false, ended(ctx, "")
	case line := <-answered:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		default:
			return false, nil
		}
	}
}

// notFoundError is kubernetesError with other words for what is not there.
func notFoundError(ctx context.Context, err error, words string) error {
	if apierrors.IsNotFound(err) {
		return errors.New(words)
	}

	return kubernetesError(ctx, err)
}
