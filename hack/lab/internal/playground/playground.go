// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package playground is a lab that stays up for as long as somebody wants to
// look around in it, with talosctl, kubectl and rebound, and whose nodes can be
// rebooted from another terminal.
package playground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Defaults of the commands.
const (
	DefaultOut     = "build/lab/up"
	DefaultWorkers = 2
)

// maxNodes is how many letters there are to tell nodes by.
const maxNodes = 'z' - 'a' + 1

var errInterrupted = errors.New("interrupted before the lab was up")

// Options are what a lab may be given.
type Options struct {
	// Workers is how many nodes have rebound in machined; they are called worker-a, worker-b, …
	Workers int
	// Agents is how many nodes have rebound's agent; they are called agent-a, agent-b, …
	Agents int
	// Stock is how many nodes have neither; they are called stock-a, stock-b, …
	Stock int
	// Rebound is the binary of the agent; the one beside the running program if it is empty.
	Rebound string
	// Out is the folder for what its users need. It is created if need be.
	Out string
}

func (options Options) validate() error {
	for flag, n := range map[string]int{"--workers": options.Workers, "--agents": options.Agents, "--stock": options.Stock} {
		if n < 0 || n > maxNodes {
			return fmt.Errorf("%s is %d: it has to be from 0 to %d", flag, n, maxNodes)
		}
	}

	if options.Workers+options.Agents+options.Stock == 0 {
		return errors.New("--workers, --agents and --stock are 0: a lab needs a node")
	}

	return nil
}

// nodes are the nodes that are asked for.
func (options Options) nodes() []show.Node {
	nodes := make([]show.Node, 0, options.Workers+options.Agents+options.Stock)

	for i := range options.Workers {
		nodes = append(nodes, show.Node{Name: nodeName("worker", i), Options: []lab.NodeOption{lab.WithRebound()}})
	}

	for i := range options.Agents {
		nodes = append(nodes, show.Node{Name: nodeName("agent", i), Options: []lab.NodeOption{show.StockWithAgent(options.Rebound)}})
	}

	for i := range options.Stock {
		nodes = append(nodes, show.Node{Name: nodeName("stock", i)})
	}

	return nodes
}

// Up starts a lab, says how to use it, and takes it down when ctx is done, which
// is no error once the lab was up. Of what it has written nothing remains.
func Up(ctx context.Context, options Options, w io.Writer) (err error) {
	if err = options.validate(); err != nil {
		return err
	}

	if options.Agents > 0 {
		if options.Rebound, err = show.FindProgram(options.Rebound, "rebound"); err != nil {
			return err
		}
	}

	claim, err := openClaim(options.Out)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, claim.release()) }()

	log := show.NewLog(w)
	log.Say("starting etcd, kube-apiserver, kube-controller-manager and kube-scheduler")

	cluster, err := lab.Start(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}

	defer func() {
		log.Say("taking the lab down")

		err = errors.Join(err, cluster.Close())
	}()

	if err = populate(ctx, cluster, options, log); err != nil {
		return interrupted(ctx, err)
	}

	control, err := serve(ctx, cluster, log)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, control.close(context.WithoutCancel(ctx))) }()

	if err = claim.publish(cluster, control.socket); err != nil {
		return err
	}

	log.Say("all DaemonSet pods are Ready")
	fmt.Fprint(w, usage(claim.folder, cluster, options))

	<-ctx.Done()

	return nil
}

// populate adds the nodes and the DaemonSets, and waits until every pod is Ready.
func populate(ctx context.Context, cluster *lab.Lab, options Options, log *show.Log) error {
	ctx, cancel := context.WithTimeoutCause(ctx, show.BootLimit, fmt.Errorf("the nodes were not whole after %s", show.BootLimit))
	defer cancel()

	err := show.Populate(ctx, cluster, options.nodes(), func(name string) { log.Say("booting %s", name) })
	if err != nil {
		return err
	}

	log.Say("waiting for the DaemonSet pods")

	return cluster.WaitReady(ctx)
}

func nodeName(prefix string, i int) string { return fmt.Sprintf("%s-%c", prefix, 'a'+i) }

// interrupted replaces an error that is only about having been interrupted.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}

	return err
}

func talosconfigIn(folder string) string { return filepath.Join(folder, "talosconfig") }

func kubeconfigIn(folder string) string { return filepath.Join(folder, "kubeconfig") }
