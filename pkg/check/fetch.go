// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// Talos gives an attempt of a cluster check 5 s (interval of its PollingCondition). 500 nodes fit in that even if none
// of them answers: two rounds of 250, 2 s each.
const (
	// parallelRequests is how many nodes are asked at once.
	parallelRequests = 250
	// nodeTimeout is how long one node may take to answer.
	nodeTimeout = 2 * time.Second
)

var (
	errNoAnswer = fmt.Errorf("no answer within %s", nodeTimeout)
	// errCutOff is no news of the node: whoever asked had no more time.
	errCutOff = errors.New("no answer in time")
)

// Fetch asks every node for its recovery status, side by side, one request per node. It returns one answer per node,
// in the order of the nodes. It does not fail: a node that does not answer within two seconds, or before ctx ends, is
// unreachable.
func Fetch(ctx context.Context, st state.State, nodes []Node) []Answer {
	answers := make([]Answer, len(nodes))

	var group errgroup.Group

	group.SetLimit(parallelRequests)

	for i, node := range nodes {
		group.Go(func() error {
			answers[i] = fetch(ctx, st, node)

			return nil
		})
	}

	group.Wait() //nolint:errcheck // none of them returns an error

	return answers
}

func fetch(ctx context.Context, st state.State, node Node) Answer {
	// Either end may notice first that time is up.
	timeIsUp := errNoAnswer
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < nodeTimeout {
		timeIsUp = errCutOff
	}

	ctx, cancel := context.WithTimeoutCause(ctx, nodeTimeout, timeIsUp)
	defer cancel()

	res, err := safe.StateGetByID[*recovery.RecoveryStatus](to(ctx, node), st, recovery.RecoveryStatusID)
	if err != nil {
		switch {
		case errors.Is(context.Cause(ctx), timeIsUp), status.Code(err) == codes.DeadlineExceeded:
			err = timeIsUp
		case ctx.Err() != nil:
			err = errCutOff
		}

		return classify(node, err)
	}

	return answered(node, res)
}

// to addresses a request to a node.
func to(ctx context.Context, node Node) context.Context {
	if node.Address == "" {
		return ctx
	}

	return client.WithNode(ctx, node.Address)
}

func answered(node Node, res *recovery.RecoveryStatus) Answer {
	spec := res.TypedSpec().DeepCopy()

	return Answer{Node: node, Outcome: OutcomeStatus, Status: &spec}
}

// classify tells what an error says about a node. That a type or a namespace "is not supported" is how machined
// answers for what it does not know (siderolabs/talos v1.13.9, internal/app/resources/access.go), with the same code
// as for a role that does not suffice.
func classify(node Node, err error) Answer {
	if state.IsNotFoundError(err) {
		return Answer{Node: node, Outcome: OutcomeNotFound}
	}

	// The words are those of the API, not of what was wrapped around them on the way.
	var api interface{ GRPCStatus() *status.Status }
	if errors.As(err, &api) {
		err = api.GRPCStatus().Err()
	}

	switch status.Code(err) {
	case codes.NotFound:
		return Answer{Node: node, Outcome: OutcomeNotFound}
	case codes.PermissionDenied:
		if strings.HasSuffix(status.Convert(err).Message(), "is not supported") {
			return Answer{Node: node, Outcome: OutcomeUnsupported}
		}

		return Answer{Node: node, Outcome: OutcomeRefused, Err: err}
	case codes.Unauthenticated:
		return Answer{Node: node, Outcome: OutcomeRefused, Err: err}
	default:
		return Answer{Node: node, Outcome: OutcomeUnreachable, Err: err}
	}
}
