// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	timeres "github.com/siderolabs/talos/pkg/machinery/resources/time"
	"go.yaml.in/yaml/v4"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// The resource with the id of the present boot, which Talos has since v1.14.
const (
	bootIDType = "BootIDs.runtime.talos.dev"
	bootIDID   = "boot-id"
)

var errNotReady = errors.New("its Node is not Ready")

// fetchReport asks a node whose Talos was built without rebound whether an agent reports on its Node object, which Talos
// mirrors. The error is that of a request.
//
// A node that has no agent takes one request, another takes one more to learn the present boot, and in Talos v1.13 two.
func fetchReport(ctx context.Context, st state.State, node Node) (Answer, error) {
	statuses, err := safe.StateListAll[*k8s.NodeStatus](ctx, st)

	switch {
	case err == nil:
	case classify(node, err).Outcome == OutcomeUnsupported:
		return Answer{Node: node, Outcome: OutcomeUnsupported}, nil
	default:
		return Answer{}, err
	}

	if statuses.Len() == 0 {
		return withoutObject(ctx, st, node)
	}

	// There is none but the node's own.
	status := statuses.Get(0).TypedSpec()
	object := Object{Name: status.Nodename, Report: status.Annotations[specs.NodeAnnotation]}

	if !status.NodeReady {
		object.NotReady = errNotReady
	}

	if object.Report != "" {
		if object.Boot, err = fetchBoot(ctx, st); err != nil {
			return Answer{}, err
		}
	}

	return object.Answer(node), nil
}

// withoutObject tells a node that has yet to see its Node object from one that has none.
func withoutObject(ctx context.Context, st state.State, node Node) (Answer, error) {
	name, err := safe.StateGetByID[*k8s.Nodename](ctx, st, k8s.NodenameID)

	switch {
	case err == nil && name.TypedSpec().SkipNodeRegistration:
		return Answer{Node: node, Outcome: OutcomeUnsupported}, nil
	case err == nil, classify(node, err).Outcome == OutcomeNotFound:
		return doubtful(node, errUnregistered), nil
	default:
		return Answer{}, err
	}
}

// fetchBoot returns what Talos tells about the present boot. Without the boot's id that is the time at which it found its
// clock to be right: it starts the kubelet after that, and what it has to say is gone with the next boot.
func fetchBoot(ctx context.Context, st state.State) (Boot, error) {
	id, err := st.Get(ctx, resource.NewMetadata(runtime.NamespaceName, bootIDType, bootIDID, resource.VersionUndefined))
	if err == nil {
		return readBootID(id)
	}

	if !absent(err) {
		return Boot{}, err
	}

	clock, err := safe.StateGetByID[*timeres.Status](ctx, st, timeres.StatusID)

	switch {
	case err != nil && !absent(err):
		return Boot{}, err
	case err != nil || !clock.TypedSpec().Synced:
		return Boot{}, nil //nolint:nilerr // then it is not known
	default:
		return Boot{Since: clock.Metadata().Updated()}, nil
	}
}

// absent tells whether an error says that there is no such resource, or no such type.
func absent(err error) bool {
	outcome := classify(Node{}, err).Outcome

	return outcome == OutcomeNotFound || outcome == OutcomeUnsupported
}

// readBootID reads a resource whose type machinery has since v1.14.
func readBootID(res resource.Resource) (Boot, error) {
	var spec struct {
		BootID string `yaml:"bootID"`
	}

	text, err := yaml.Marshal(res.Spec())
	if err == nil {
		err = yaml.Unmarshal(text, &spec)
	}

	if err != nil {
		return Boot{}, fmt.Errorf("failed to read the boot id: %w", err)
	}

	return Boot{ID: spec.BootID}, nil
}
