// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak

import (
	"context"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

const (
	// latency is that of a slow network, for each request.
	latency = 1500 * time.Millisecond
	// trickle is how many bytes of a slow answer come at a time, tricklePause how
	// long the next ones take.
	trickle      = 256
	tricklePause = 50 * time.Millisecond
)

// disturb makes the network of a client a bad one for a while.
func disturb(ctx context.Context, proxy *apiproxy.Proxy, kind Kind, lasts time.Duration) {
	var restore func()

	switch kind {
	case SlowNetwork:
		proxy.SetLatency(latency)

		restore = func() { proxy.SetLatency(0) }
	case CutNetwork:
		proxy.Cut()

		restore = proxy.Restore
	case FrozenNetwork:
		proxy.Freeze()

		restore = proxy.Thaw
	default:
		fault, wanted := faultOf(kind)
		restore = proxy.Inject(fault, wanted, 0).TakeBack
	}

	pause(ctx, lasts)
	restore()
}

// faultOf returns what befalls which requests.
func faultOf(kind Kind) (apiproxy.Fault, func(*http.Request) bool) {
	switch kind {
	case TooManyRequests:
		return apiproxy.Answer(apierrors.NewTooManyRequests("a soak", 1)), all
	case ServerErrors:
		return apiproxy.Answer(refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError)), all
	case Unavailable:
		return apiproxy.Answer(refusal(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)), all
	case LostAnswers:
		return apiproxy.LoseAnswer(), apiproxy.Writes
	case SlowAnswers:
		return apiproxy.SlowBody(trickle, tricklePause), all
	default:
		return apiproxy.Truncate(), watches
	}
}

func refusal(code int32, reason metav1.StatusReason) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "a soak",
	}}
}

func all(*http.Request) bool { return true }

func watches(request *http.Request) bool { return request.URL.Query().Has("watch") }
