// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/talos-rebound/rebound/internal/kubecheck"
	"github.com/talos-rebound/rebound/pkg/check"
)

// Access says whom to ask about which nodes: the Talos API or, with a kubeconfig, Kubernetes. The zero value is what a talosctl
// without flags uses.
type Access struct {
	// Talosconfig is the path of the client configuration; empty means where talosctl looks for it.
	Talosconfig string
	// Context is the name of the context in it; empty means the one that it calls current.
	Context string
	// Endpoints override those of the context unless empty.
	Endpoints []string
	// Kubeconfig is the path of a kubeconfig; empty means that the Talos API is asked.
	Kubeconfig string
	// KubeContext is the name of the context in it; empty means the one that it calls current.
	KubeContext string
	// Nodes are the nodes to check, Nodes of Kubernetes by their names; empty means all members of the cluster.
	Nodes []string
}

// target is whom to ask.
type target interface {
	// wait waits until there is nothing left to wait for. The error says that ctx has ended before, or, if the verdict is
	// nil, that the nodes cannot be known.
	wait(ctx context.Context, options check.WaitOptions, reporter *reporter) (*check.Verdict, error)
	// judge asks every node once. The error says that the nodes cannot be known; it has ExitNotRecovered if trying again may
	// help.
	judge(ctx context.Context) (check.Verdict, error)
	// known are the nodes that are checked if none are named.
	known(ctx context.Context) ([]check.Node, error)
	close()
}

// open prepares a connection. It sends nothing yet, so an error is one of flags or of the configuration.
func open(ctx context.Context, access Access) (target, error) {
	if err := access.agree(); err != nil {
		return nil, err
	}

	var err error

	if access.Nodes, err = cleanList("--nodes", access.Nodes); err != nil {
		return nil, err
	}

	if access.Kubeconfig == "" {
		return connect(ctx, access)
	}

	cluster, err := kubecheck.Open(access.Kubeconfig, access.KubeContext, access.Nodes)
	if err != nil {
		return nil, err
	}

	return kubernetes{cluster}, nil
}

// agree returns an error if the flags are of two ways to ask.
func (access Access) agree() error {
	if access.Kubeconfig == "" {
		if access.KubeContext != "" {
			return errors.New("--kube-context is a context of a kubeconfig; name the file with --kubeconfig")
		}

		return nil
	}

	if talos := access.talosFlags(); len(talos) > 0 {
		return fmt.Errorf("--kubeconfig is for asking Kubernetes and %s for asking Talos; leave out one of them", talos[0])
	}

	return nil
}

// talosFlags, kubernetesFlags and nodesFlag are the flags that were given.
func (access Access) talosFlags() []string {
	return given(map[string]bool{
		"--talosconfig": access.Talosconfig != "", "--context": access.Context != "", "--endpoints": access.Endpoints != nil,
	})
}

func (access Access) kubernetesFlags() []string {
	return given(map[string]bool{"--kubeconfig": access.Kubeconfig != "", "--kube-context": access.KubeContext != ""})
}

func (access Access) nodesFlag() []string {
	return given(map[string]bool{"--nodes": access.Nodes != nil})
}

func given(flags map[string]bool) []string {
	maps.DeleteFunc(flags, func(_ string, given bool) bool { return !given })

	return slices.Sorted(maps.Keys(flags))
}

// kubernetes is a cluster that is asked through the Kubernetes API.
type kubernetes struct{ cluster *kubecheck.Cluster }

func (k kubernetes) close() { k.cluster.Close() }

func (k kubernetes) wait(ctx context.Context, options check.WaitOptions, _ *reporter) (*check.Verdict, error) {
	verdict, err := k.cluster.Wait(ctx, options)
	if errors.As(err, new(kubecheck.RefusedError)) {
		return nil, err
	}

	return &verdict, err
}

func (k kubernetes) judge(ctx context.Context) (check.Verdict, error) {
	verdict, err := k.cluster.Judge(ctx)
	if err != nil && !errors.As(err, new(kubecheck.RefusedError)) {
		err = failure{err}
	}

	return verdict, err
}

func (k kubernetes) known(ctx context.Context) ([]check.Node, error) {
	verdict, err := k.cluster.Judge(ctx)
	nodes := make([]check.Node, 0, len(verdict.Nodes))

	for _, node := range verdict.Nodes {
		nodes = append(nodes, check.Node{Address: node.Name})
	}

	return nodes, err
}

// Members are the nodes that would be checked if none were named, as shells complete them: an address each, followed by
// a tab and the name if there is one. It does not wait for an endpoint that is away.
func Members(ctx context.Context, access Access) ([]string, error) {
	// The nodes that were typed so far are not the ones to offer.
	access.Nodes = nil

	target, err := open(ctx, access)
	if err != nil {
		return nil, err
	}

	defer target.close()

	nodes, err := target.known(ctx)
	if err != nil {
		return nil, err
	}

	members := make([]string, 0, len(nodes))

	for _, node := range nodes {
		members = append(members, strings.TrimSuffix(node.Address+"\t"+node.Name, "\t"))
	}

	return members, nil
}
