// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"go.uber.org/zap"

	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Moment is one at which rebound's recovery controller panics, once in a boot.
type Moment string

// The moments, in the order in which a recovery comes to them. Those of a
// request are in the goroutine that sends it; the others are in the controller's
// own, which the COSI runtime starts again.
const (
	// MomentReading is before anything is known.
	MomentReading Moment = "reading"
	// MomentListing is in the request that lists or watches the pods.
	MomentListing Moment = "listing"
	// MomentFound is when a Failed pod is found, and nothing says so yet.
	MomentFound Moment = "found"
	// MomentCounted is when an attempt is on record that was not made yet.
	MomentCounted Moment = "counted"
	// MomentDeleting is in the request that deletes a pod, before it is sent.
	MomentDeleting Moment = "deleting"
	// MomentAnswered is in that request too, after it has deleted the pod: the
	// answer is lost.
	MomentAnswered Moment = "answered"
	// MomentDeleted is when a delete is known to have succeeded, and nothing says
	// so yet.
	MomentDeleted Moment = "deleted"
	// MomentFollowing is when the replacement is Ready, and nothing says so yet.
	MomentFollowing Moment = "following"
)

// Moments returns all of them.
func Moments() []Moment {
	return []Moment{
		MomentReading, MomentListing, MomentFound, MomentCounted, MomentDeleting, MomentAnswered, MomentDeleted, MomentFollowing,
	}
}

// panicker panics once at each of its moments.
type panicker struct {
	mu      sync.Mutex
	moments []Moment
}

// at panics if this is one of the moments that are left.
func (p *panicker) at(moment Moment) {
	p.mu.Lock()
	i := slices.Index(p.moments, moment)

	if i >= 0 {
		p.moments = slices.Delete(p.moments, i, i+1)
	}

	p.mu.Unlock()

	if i >= 0 {
		panic(PanicText(moment))
	}
}

// PanicText is what a panic at the moment says, and so what the node's log has.
func PanicText(moment Moment) string { return "the lab panics when " + string(moment) }

// panicking is a controller that does.
type panicking struct {
	controller.Controller

	panicker *panicker
}

// Run implements controller.Controller.
func (p *panicking) Run(ctx context.Context, r controller.Runtime, logger *zap.Logger) error {
	return p.Controller.Run(ctx, &panickingRuntime{Runtime: r, panicker: p.panicker}, logger)
}

// panickingRuntime sees what the controller does by what it reads and writes.
type panickingRuntime struct {
	controller.Runtime

	panicker *panicker
}

// List implements controller.Reader.
func (r *panickingRuntime) List(ctx context.Context, kind resource.Kind, opts ...state.ListOption) (resource.List, error) {
	r.panicker.at(MomentReading)

	return r.Runtime.List(ctx, kind, opts...)
}

// Modify implements controller.Writer.
func (r *panickingRuntime) Modify(
	ctx context.Context, empty resource.Resource, change func(resource.Resource) error, opts ...controller.ModifyOption,
) error {
	var written specs.DaemonSetRecovery

	err := r.Runtime.Modify(ctx, empty, func(res resource.Resource) error {
		if err := change(res); err != nil {
			return err
		}

		if record, ok := res.(*reboundres.DaemonSetRecovery); ok {
			written = *record.TypedSpec()
			r.beforeWrite(written)
		}

		return nil
	}, opts...)

	if err == nil && written.Attempts > 0 && written.Phase == specs.DaemonSetPhasePending {
		r.panicker.at(MomentCounted)
	}

	return err
}

// beforeWrite is called with a record that is not written yet.
func (r *panickingRuntime) beforeWrite(record specs.DaemonSetRecovery) {
	switch {
	case record.Phase == specs.DaemonSetPhasePending:
		r.panicker.at(MomentFound)
	case record.Phase == specs.DaemonSetPhaseRecovered && record.Deleted > 0:
		r.panicker.at(MomentFollowing)
	case record.Deleted > 0:
		r.panicker.at(MomentDeleted)
	}
}

// panickingTransport sees the controller's requests.
type panickingTransport struct {
	http.RoundTripper

	panicker *panicker
}

// RoundTrip implements http.RoundTripper.
func (t *panickingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	switch {
	case request.Method == http.MethodDelete:
		t.panicker.at(MomentDeleting)
	case request.Method == http.MethodGet && request.URL.Path == "/api/v1/pods":
		t.panicker.at(MomentListing)
	}

	response, err := t.RoundTripper.RoundTrip(request)

	if err == nil && request.Method == http.MethodDelete && response.StatusCode == http.StatusOK {
		defer func() {
			if p := recover(); p != nil {
				response.Body.Close() //nolint:errcheck // it is lost
				panic(p)
			}
		}()

		t.panicker.at(MomentAnswered)
	}

	return response, err
}
