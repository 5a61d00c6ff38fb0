// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

// answerRows are about what the API server answers, or what becomes of it.
func answerRows() []Row {
	requests := []struct {
		what   string
		wanted func(*http.Request) bool
	}{
		{"the look at the Node", readsNode},
		{"the watch of the pods", watchesPods},
		{"the delete", deletesPod},
	}

	refusals := []struct {
		name string
		err  *apierrors.StatusError
	}{
		{"429 with Retry-After", apierrors.NewTooManyRequests("too many requests, please try again later", 1)},
		{"500", apierrors.NewInternalError(errors.New("etcdserver: leader changed"))},
		{"503", apierrors.NewServiceUnavailable("the API server is shutting down")},
	}

	var rows []Row

	for i, refusal := range refusals {
		for j, request := range requests {
			rows = append(rows, answerRow(
				fmt.Sprintf("%s is answered with %s", request.what, refusal.name),
				refusal.name, request.what, 3, apiproxy.Answer(refusal.err), request.wanted, i == 0 && j == 2,
			))
		}
	}

	return append(rows,
		answerRow("the list trickles", "20 bytes of the body each 50 ms", "the watch of the pods", 1,
			apiproxy.SlowBody(20, 50*time.Millisecond), watchesPods, false),
		answerRow("the Node trickles", "200 bytes of the body each 50 ms", "the look at the Node", 2,
			apiproxy.SlowBody(200, 50*time.Millisecond), readsNode, false),
		answerRow("the watch is truncated in its first event", "the stream ends in the middle of an event", "the watch of the pods", 3,
			apiproxy.Truncate(), watchesPods, false),
		answerRow("the answer of the delete is lost", "the connection is reset when the pod is deleted", "the delete", 1,
			apiproxy.LoseAnswer(), deletesPod, true),
		answerRow("the answer of the look at the Node is lost", "the connection is reset in place of an answer", "the look at the Node", 3,
			apiproxy.LoseAnswer(), readsNode, false),
		refusedDeletes(),
		compacted(),
	)
}

// answerRow has the first few requests of a kind answered in another way.
func answerRow(name, fault, when string, times int, answer apiproxy.Fault, wanted func(*http.Request) bool, quick bool) Row {
	lasts := "one request"
	if times > 1 {
		lasts = fmt.Sprintf("%d requests", times)
	}

	return Row{
		Name: name, Fault: fault, When: when, Lasts: lasts,
		End: oneBack, Requests: 12 + 4*times, Quick: quick,
		Play: func(s *Stage) (string, error) {
			at := beforeList(s)
			injection := at.node.Proxy().Inject(answer, wanted, times)

			at.resume()
			must(injection.AwaitStruck(s.ctx, times))

			return at.node.End(), nil
		},
	}
}

// refusedDeletes is an API server that goes on to fail.
func refusedDeletes() Row {
	return Row{
		Name: "every delete is answered with 500", Fault: "500", When: "the delete", Lasts: "until rebound asks a person to look",
		Phase: "degraded", Message: "proxy: cannot delete proxy-POD: ", End: oneBack, Requests: 100,
		Play: func(s *Stage) (string, error) {
			at := beforeList(s)
			injection := at.node.Proxy().Inject(apiproxy.Answer(apierrors.NewInternalError(errors.New("etcdserver: no space"))), deletesPod, 0)

			at.resume()
			at.node.AwaitFault()
			injection.TakeBack()

			return at.node.End(), nil
		},
	}
}

// compacted is a watch that cannot go on from where it was.
func compacted() Row {
	return Row{
		Name: "what happened meanwhile is compacted", Fault: "a watch ends, and the API server has forgotten what came next (410)",
		When: "while following the replacement", Lasts: "one watch",
		End: oneBack, Requests: 20, Place: InTurn,
		Play: func(s *Stage) (string, error) {
			end := make(chan struct{})
			at := followed(s, func(node *Node) { node.Proxy().Inject(apiproxy.End(end), watchesPods, 1) })
			proxy := at.node.Proxy()

			// The next watch begins where the last one has ended, and arrives after all of
			// this has happened.
			proxy.Hold(watchesOn)
			close(end)
			at.finish()
			must(proxy.AwaitHeld(s.ctx, func(held []string) bool { return len(held) > 0 }))
			must(s.Lab.CompactEtcd(s.ctx))
			s.StopComponent(component.APIServer)
			s.StartComponent(component.APIServer)
			proxy.Release()

			return at.node.End(), nil
		},
	}
}
