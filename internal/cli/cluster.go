// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/internal/talosconfig"
	"github.com/talos-rebound/rebound/pkg/check"
)

const (
	// membersTimeout is how long the endpoint may take to list the members.
	membersTimeout = 5 * time.Second
	// membersRetryDelay is the time between two attempts to list them.
	membersRetryDelay = 2 * time.Second

	failedToList = "failed to list the members of the cluster: "
)

// cluster is a connection to the Talos API and what the configuration says about it.
type cluster struct {
	client  *client.Client
	context *clientconfig.Context
	nodes   []string
}

// connect reads the configuration and prepares a connection. It sends nothing yet, so an error is one of the
// configuration.
func connect(ctx context.Context, access Access) (_ *cluster, err error) {
	if access.Endpoints, err = cleanList("--endpoints", access.Endpoints); err != nil {
		return nil, err
	}

	config, path, err := access.load()
	if err != nil {
		return nil, err
	}

	chosen, err := access.choose(config, path, time.Now())
	if err != nil {
		return nil, err
	}

	talos, err := client.New(ctx, client.WithConfig(config), client.WithGRPCDialOptions(talosconfig.DialOptions()...))
	if err != nil {
		return nil, unusable(config.Context, path, err)
	}

	return &cluster{client: talos, context: chosen, nodes: access.Nodes}, nil
}

// close ends the connection. An error there changes no answer, so it is ignored.
func (cluster *cluster) close() { cluster.client.Close() } //nolint:errcheck // see above

// members are the nodes to check: those asked for, else all members of the cluster, else those of the context. In the
// last case note is called. The error has ExitNotRecovered if trying again may help.
func (cluster *cluster) members(ctx context.Context, note func(string)) ([]check.Node, error) {
	if len(cluster.nodes) > 0 {
		return check.Nodes(cluster.nodes...), nil
	}

	ctx, cancel := context.WithTimeoutCause(ctx, membersTimeout, fmt.Errorf("no answer within %s", membersTimeout))
	defer cancel()

	members, err := safe.StateListAll[*clusterres.Member](ctx, cluster.client.COSI)

	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, failure{fmt.Errorf(failedToList+"%w", context.Cause(ctx))}
	case status.Code(err) == codes.PermissionDenied, status.Code(err) == codes.Unauthenticated:
		return nil, fmt.Errorf(failedToList+"%s; reading takes the role os:reader", check.OneLine(check.Words(err)))
	default:
		return nil, failure{errors.New(failedToList + check.OneLine(check.Words(err)))}
	}

	var nodes []check.Node

	for member := range members.All() {
		spec := member.TypedSpec()
		node := check.Node{Name: check.OneLine(cmp.Or(spec.Hostname, member.Metadata().ID()))}

		// A member without addresses is asked by its name. That will hardly work, but leaving it out would hide it.
		node.Address = node.Name
		if len(spec.Addresses) > 0 {
			node.Address = spec.Addresses[0].String()
		}

		nodes = append(nodes, node)
	}

	switch {
	case len(nodes) > 0:
		return nodes, nil
	case len(cluster.context.Nodes) > 0:
		note("the cluster names no members; checking the nodes of the context")

		return check.Nodes(cluster.context.Nodes...), nil
	case cluster.discoveryDisabled(ctx):
		return nil, errors.New("the cluster has discovery switched off and the context names no nodes; name them with --nodes")
	default:
		return nil, failure{errors.New("the cluster names no members and the context names no nodes; " +
			"name them with --nodes unless they are still booting")}
	}
}

// discoveryDisabled tells whether the cluster says that it will never name members. If it does not say so, it may yet.
func (cluster *cluster) discoveryDisabled(ctx context.Context) bool {
	config, err := safe.StateGetByID[*clusterres.Config](ctx, cluster.client.COSI, clusterres.ConfigID)

	return err == nil && !config.TypedSpec().DiscoveryEnabled
}

// awaitMembers tries until the members are known or ctx has ended, because the endpoint may be the node that reboots.
// Every failed attempt is reported, unless the end of ctx is why it failed.
func (cluster *cluster) awaitMembers(ctx context.Context, note, report func(string)) ([]check.Node, error) {
	for {
		nodes, err := cluster.members(ctx, note)
		if err == nil || ExitCode(err) == ExitUsage || ctx.Err() != nil {
			return nodes, err
		}

		report(err.Error())

		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(membersRetryDelay):
		}
	}
}

func (cluster *cluster) known(ctx context.Context) ([]check.Node, error) {
	return cluster.members(ctx, func(string) {})
}

func (cluster *cluster) judge(ctx context.Context) (check.Verdict, error) {
	nodes, err := cluster.known(ctx)
	if err != nil {
		return check.Verdict{}, err
	}

	return check.Judge(check.Fetch(ctx, cluster.client.COSI, nodes)), nil
}

func (cluster *cluster) wait(ctx context.Context, options check.WaitOptions, reporter *reporter) (*check.Verdict, error) {
	last := ""

	nodes, err := cluster.awaitMembers(ctx, reporter.Finish, func(reason string) {
		last = reason

		reporter.Update(healthSubject + reason)
	})

	switch {
	case err == nil:
	case ctx.Err() == nil:
		return nil, err
	default:
		return &check.Verdict{Status: check.StatusFailing, Reason: last}, err
	}

	verdict, err := cluster.waitForAll(ctx, nodes, options)

	return &verdict, err
}

// waitForAll waits for the nodes, and for members that the cluster has come to know meanwhile: an endpoint that has just
// booted knows only a few at first. A member that has gone from the list is still checked.
func (cluster *cluster) waitForAll(ctx context.Context, nodes []check.Node, options check.WaitOptions) (check.Verdict, error) {
	for {
		verdict, err := check.Wait(ctx, cluster.client.COSI, nodes, options)
		if err != nil {
			return verdict, err
		}

		members, err := cluster.known(ctx)
		if err != nil {
			return verdict, nil //nolint:nilerr // there was an answer before
		}

		before := len(nodes)

		for _, member := range members {
			if !slices.ContainsFunc(nodes, func(node check.Node) bool { return node.Address == member.Address }) {
				nodes = append(nodes, member)
			}
		}

		if len(nodes) == before {
			return verdict, nil
		}
	}
}
