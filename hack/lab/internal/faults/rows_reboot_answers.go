// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
	"github.com/talos-rebound/rebound/hack/lab/lab"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// rebootAnswerRows are about answers that do not come, or that are no help.
func rebootAnswerRows() []Row {
	rows := []Row{
		lostAnswer("the answer to a taken slot is lost", "before the cordon", saying(`"holders":[`, isOn(v1alpha1.ResourceRebootBudgets))),
		lostAnswer("the answer to a step is lost", "before the cordon", saying(`"phase":"Cordoned"`, isOn(v1alpha1.ResourceNodeReboots))),
		lostAnswer("the answer to a cordon is lost", "at the cordon", saying(`"unschedulable":true`, isOn("nodes"))),
		lostAnswer("the answer to an eviction is lost", "in the drain", isOn("eviction")),
		lostAnswer("the answer to the step of a grant is lost", "before the grant", saying(`"phase":"Granted"`, isOn(v1alpha1.ResourceNodeReboots))),
		lostAnswer("the answer to a grant is lost", "at the grant", saying(v1alpha1.GrantAnnotation+`":"`, isOn("nodes"))),
		lostAnswer("the answer to an uncordon is lost", "at the uncordon", saying(v1alpha1.RestoredAnnotation, isOn("nodes"))),
		refusal("every other write is answered with 429", apierrors.NewTooManyRequests("the server is busy", 1)),
		refusal("every other write is answered with 500", apierrors.NewInternalError(errors.New("etcdserver: leader changed"))),
		refusal("every other write is answered with 503", apierrors.NewServiceUnavailable("the server is shutting down")),
		{
			Name: "what the coordinator lists and watches trickles", Fault: "1 KiB, then a pause of 100 ms", When: "from the start to the end", Lasts: "all the time",
			End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				proxy := must1(q.Lab.Proxy())
				slow := proxy.Inject(apiproxy.SlowBody(1024, 100*time.Millisecond), work(isList), 0)

				q.keep(q.startPatient(lab.CoordinatorOptions{Proxy: proxy}))
				q.run(q.nodes[0], 2, 2)
				q.ask(q.nodes[0])
				must(slow.AwaitStruck(q.ctx, 1))

				return q.done()
			},
		},
		{
			Name: "watches end in the middle of an event", Fault: "the next twelve watches are truncated", When: "in the middle of a drain", Lasts: "until all of them were",
			Phase: cordoned, Message: cannotEvict, End: oneDone, Requests: 200,
			Play: func(s *Stage) (string, error) {
				q := s.queue(1)
				proxy := q.startBehind()
				node := q.nodes[0]

				q.stick(node)
				q.ask(node)
				q.awaitFault(node)

				truncated := proxy.Inject(apiproxy.Truncate(), isWatch, 12)

				proxy.Cut()
				proxy.Restore()
				q.free()
				must(truncated.AwaitStruck(q.ctx, 6))

				return q.done()
			},
		},
	}

	return inTurn(rows...)
}

// lostAnswer is a row in which the answer to one write is lost.
func lostAnswer(name, when string, wanted func(*http.Request) bool) Row {
	return Row{
		Name: name, Fault: "the write has its effect, and the connection is reset before the answer", When: when, Lasts: "once",
		End: oneDone, Requests: 200,
		Play: func(s *Stage) (string, error) {
			q := s.queue(1)
			lost := q.startBehind().Inject(apiproxy.LoseAnswer(), wanted, 1)

			q.run(q.nodes[0], 2, 2)
			q.ask(q.nodes[0])
			must(lost.AwaitStruck(q.ctx, 1))

			return q.done()
		},
	}
}

// refusal is a row in which every write is refused once, at every step.
func refusal(name string, answer *apierrors.StatusError) Row {
	return Row{
		Name: name, Fault: "they are not passed on", When: "from the start to the end", Lasts: "all the time",
		End: oneDone, Requests: 350,
		Play: func(s *Stage) (string, error) {
			q := s.queue(1)
			refused := q.startBehind().Inject(apiproxy.Answer(answer), everyOther(work(apiproxy.Writes)), 0)

			q.run(q.nodes[0], 2, 2)
			q.ask(q.nodes[0])

			end, err := q.done()
			q.Check(len(refused.Struck()) >= 10, "only %d writes were refused", len(refused.Struck()))

			return end, err
		},
	}
}

// everyOther wants the first, the third, the fifth of the requests that are
// wanted, of those with one path.
func everyOther(wanted func(*http.Request) bool) func(*http.Request) bool {
	count := map[string]int{}

	return func(request *http.Request) bool {
		if !wanted(request) {
			return false
		}

		count[request.URL.Path]++

		return count[request.URL.Path]%2 == 1
	}
}

// isList wants what a cache asks for: neither discovery, nor the first question
// whether there are CRDs, without an answer to which a coordinator ends.
func isList(request *http.Request) bool {
	return isWatch(request) || request.Method == http.MethodGet && request.URL.Query().Has("resourceVersion")
}

func isWatch(request *http.Request) bool {
	return request.Method == http.MethodGet && request.URL.Query().Has("watch")
}

// saying wants the requests the body of which has the text.
func saying(text string, wanted func(*http.Request) bool) func(*http.Request) bool {
	return func(request *http.Request) bool {
		if !wanted(request) {
			return false
		}

		body, err := io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(body))

		return err == nil && bytes.Contains(body, []byte(text))
	}
}
