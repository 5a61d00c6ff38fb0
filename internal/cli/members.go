// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/pkg/check"
)

const (
	// membersTimeout is how long the endpoint may take to list the members.
	membersTimeout = 5 * time.Second
	// membersRetryDelay is the time between two attempts to list them.
	membersRetryDelay = 2 * time.Second
)

var errNoNodes = errors.New("the cluster names no members, as with discovery switched off, and the context names no nodes; name them with --nodes")

// members are the nodes to check: those asked for, else all members of the cluster, else those of the context.
//
// The error is a failure if the endpoint did not answer and the context names no nodes.
func (cluster *cluster) members(ctx context.Context) ([]check.Node, error) {
	if len(cluster.nodes) > 0 {
		return check.Nodes(cluster.nodes...), nil
	}

	ctx, cancel := context.WithTimeoutCause(ctx, membersTimeout, fmt.Errorf("no answer within %s", membersTimeout))
	defer cancel()

	members, err := safe.StateListAll[*clusterres.Member](ctx, cluster.client.COSI)
	if err != nil && len(cluster.context.Nodes) == 0 {
		return nil, discoveryError(ctx, err)
	}

	var nodes []check.Node

	if err == nil {
		for member := range members.All() {
			spec := member.TypedSpec()

			if len(spec.Addresses) == 0 {
				continue
			}

			nodes = append(nodes, check.Node{Address: spec.Addresses[0].String(), Name: spec.Hostname})
		}
	}

	if len(nodes) > 0 {
		return nodes, nil
	}

	if len(cluster.context.Nodes) > 0 {
		return check.Nodes(cluster.context.Nodes...), nil
	}

	return nil, errNoNodes
}

// awaitMembers tries until the endpoint answers: it may be the node that reboots. Every failed attempt is reported.
func (cluster *cluster) awaitMembers(ctx context.Context, report func(string)) ([]check.Node, error) {
	for {
		nodes, err := cluster.members(ctx)
		if err == nil || ExitCode(err) == ExitUsage {
			return nodes, err
		}

		// What the end of ctx cut off tells nothing.
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}

		report(err.Error())

		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(membersRetryDelay):
		}
	}
}

func discoveryError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("failed to list the members of the cluster: %s; reading takes the role os:reader", status.Convert(err).Message())
	default:
		return failure{fmt.Errorf("failed to list the members of the cluster: %s", words(err))}
	}
}

// words are those of the API, without the name of the code.
func words(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}

	return err.Error()
}

// Members are the nodes that would be checked if none were named: addresses, each with a tab and its name if it has one,
// as shells complete them. It does not wait for an endpoint that is away.
func Members(ctx context.Context, access Access) (members []string, err error) {
	cluster, err := connect(ctx, access)
	if err != nil {
		return nil, err
	}

	defer func() { err = errors.Join(err, cluster.close()) }()

	// What was typed so far is not what is asked for.
	cluster.nodes = nil

	nodes, err := cluster.members(ctx)
	if err != nil {
		return nil, err
	}

	for _, node := range nodes {
		members = append(members, strings.TrimSuffix(node.Address+"\t"+node.Name, "\t"))
	}

	return members, nil
}
