// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// Nodes are asked all at once, and have the same time to answer, however many they are. That time fits in an attempt of a
// cluster check, to which Talos gives 5 s (interval of its PollingCondition). One that is down takes all of it, so it is
// short for few nodes; many share the CPU of whoever asks and of the endpoint.
const (
	// minTimeout is how long a few nodes may take to answer, maxTimeout how long any number of them may.
	minTimeout = 2 * time.Second
	maxTimeout = 4 * time.Second
	// nodesPerSecond is how many nodes make it a second longer.
	nodesPerSecond = 250
)

// errCutOff is no news of the node: whoever asked had no more time.
var errCutOff = errors.New("no answer in time")

// Fetch asks every node for its recovery status, all at once, one request per node; nodes whose Talos was built without
// rebound are asked whether an agent reports on them. It returns one answer per node, in the order of the nodes. It does not
// fail: a node that does not answer within two seconds (up to four if there are hundreds of them), or before ctx ends, is
// unreachable.
func Fetch(ctx context.Context, st state.State, nodes []Node) []Answer {
	timeout := min(minTimeout+time.Duration(len(nodes)/nodesPerSecond)*time.Second, maxTimeout)

	// Either end may notice first that time is up.
	timeIsUp := fmt.Errorf("no answer within %s", timeout)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < timeout {
		timeIsUp = errCutOff
	}

	ctx, cancel := context.WithTimeoutCause(ctx, timeout, timeIsUp)
	defer cancel()

	answers := make([]Answer, len(nodes))

	var group sync.WaitGroup

	for i, node := range nodes {
		group.Go(func() { answers[i] = fetch(ctx, st, node, timeIsUp) })
	}

	group.Wait()

	return answers
}

// fetch asks one node until ctx ends, which gives timeIsUp as its cause if that was a matter of time.
func fetch(ctx context.Context, st state.State, node Node, timeIsUp error) Answer {
	res, err := safe.StateGetByID[*recovery.RecoveryStatus](to(ctx, node), st, recovery.RecoveryStatusID)
	if err == nil {
		return answered(node, res)
	}

	if answer := classify(node, err); answer.Outcome == OutcomeUnsupported {
		if answer, err = fetchReport(to(ctx, node), st, node); err == nil {
			return answer
		}
	}

	switch {
	case errors.Is(context.Cause(ctx), timeIsUp), status.Code(err) == codes.DeadlineExceeded:
		err = timeIsUp
	case ctx.Err() != nil:
		err = errCutOff
	}

	return classify(node, err)
}

// to addresses a request to a node.
func to(ctx context.Context, node Node) context.Context {
	if node.Address == "" {
		return ctx
	}

	return client.WithNode(ctx, node.Address)
}

func answered(node Node, res *recovery.RecoveryStatus) Answer {
	spec := res.TypedSpec().DeepCopy().Printable() // whatever answers there has written it

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
