// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"

	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// AwaitRecovery waits until the node's recovery, in the present boot, is as
// wanted. It returns what was seen last, also with an error.
func (node *Node) AwaitRecovery(ctx context.Context, wanted func(specs.RecoveryStatus) bool) (specs.RecoveryStatus, error) {
	st, err := node.Recovery()
	if err != nil {
		return specs.RecoveryStatus{}, err
	}

	status, err := AwaitSpec(ctx, st, recoveryres.NewRecoveryStatus().Metadata(), func(status specs.RecoveryStatus) bool {
		return status.BootID == node.BootID() && wanted(status)
	})
	if err != nil {
		return status, fmt.Errorf("failed to wait for the recovery of node %q: %w; last seen: %+v", node.name, err, status)
	}

	return status, nil
}

// AwaitDaemonSet waits until the recovery of a DaemonSet, which is called
// <namespace>/<name>, is as wanted on the node. It returns what was seen last,
// also with an error.
func (node *Node) AwaitDaemonSet(ctx context.Context, id string, wanted func(specs.DaemonSetRecovery) bool) (specs.DaemonSetRecovery, error) {
	st, err := node.Recovery()
	if err != nil {
		return specs.DaemonSetRecovery{}, err
	}

	record, err := AwaitSpec(ctx, st, recoveryres.NewDaemonSetRecovery(id).Metadata(), wanted)
	if err != nil {
		return record, fmt.Errorf("failed to wait for DaemonSet %q on node %q: %w; last seen: %+v", id, node.name, err, record)
	}

	return record, nil
}

// DaemonSets returns what the node says about the recovery of DaemonSets, by
// <namespace>/<name>.
func (node *Node) DaemonSets(ctx context.Context) (map[string]specs.DaemonSetRecovery, error) {
	st, err := node.Recovery()
	if err != nil {
		return nil, err
	}

	return ListDaemonSets(ctx, st)
}

// ListDaemonSets does so for the state of any rebound.
func ListDaemonSets(ctx context.Context, st state.State) (map[string]specs.DaemonSetRecovery, error) {
	list, err := safe.StateListAll[*recoveryres.DaemonSetRecovery](ctx, st)
	if err != nil {
		return nil, fmt.Errorf("failed to list the recovery of DaemonSets: %w", err)
	}

	found := map[string]specs.DaemonSetRecovery{}

	for item := range list.All() {
		found[item.Metadata().ID()] = *item.TypedSpec()
	}

	return found, nil
}

// AwaitSpec waits until the spec of a resource is as wanted. It returns what was
// seen last, also with an error.
func AwaitSpec[S any](ctx context.Context, st state.State, pointer resource.Pointer, wanted func(S) bool) (last S, err error) {
	_, err = st.WatchFor(ctx, pointer, state.WithCondition(func(res resource.Resource) (bool, error) {
		typed, ok := res.(interface{ TypedSpec() *S })
		if !ok {
			return false, nil
		}

		last = *typed.TypedSpec()

		return wanted(last), nil
	}))

	return last, err
}
