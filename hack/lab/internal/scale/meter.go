// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Traffic is what one client has asked for with one verb.
type Traffic struct {
	Client string `json:"client"`
	Verb   string `json:"verb"`
	// Requests are those in the audit log.
	Requests int `json:"requests"`
	// Throttled are those of them that were told to come again later.
	Throttled int `json:"throttled,omitempty"`
	// Bytes are those of the bodies, in both directions; zero for clients that are
	// not of this process.
	Bytes int64 `json:"bytes"`
}

// source is whose traffic it is.
type source struct{ client, verb string }

// meter counts the bytes of clients of this process. Its zero value is ready to
// use.
type meter struct {
	mu    sync.Mutex
	bytes map[source]int64
}

func (m *meter) add(from source, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.bytes == nil {
		m.bytes = map[source]int64{}
	}

	m.bytes[from] += int64(n)
}

// take returns what was counted since it was called last.
func (m *meter) take() map[source]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()

	taken := m.bytes
	m.bytes = nil

	return taken
}

// of returns a transport that counts for the client.
func (m *meter) of(client string, next http.RoundTripper) http.RoundTripper {
	return &meteredTransport{meter: m, client: client, next: next}
}

type meteredTransport struct {
	meter  *meter
	client string
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *meteredTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	from := source{t.client, verb(request)}

	if request.ContentLength > 0 {
		t.meter.add(from, int(request.ContentLength))
	}

	response, err := t.next.RoundTrip(request)
	if err == nil {
		response.Body = &meteredBody{ReadCloser: response.Body, meter: t.meter, from: from}
	}

	return response, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper of k8s.io/apimachinery, by
// which the transport below is found when its connections are to be closed.
func (t *meteredTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

type meteredBody struct {
	io.ReadCloser

	meter *meter
	from  source
}

// Read implements io.Reader.
func (b *meteredBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.meter.add(b.from, n)

	return n, err
}

// verb is what the audit log calls the request.
func verb(request *http.Request) string {
	switch request.Method {
	case http.MethodGet:
		query := request.URL.Query()

		switch {
		case query.Get("watch") != "":
			return "watch"
		case strings.HasSuffix(request.URL.Path, "/pods") || strings.HasSuffix(request.URL.Path, "/nodes"):
			return "list"
		default:
			return "get"
		}
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	default:
		return strings.ToLower(request.Method)
	}
}

// client is who sent the request: a controller, or the user agent of those that
// share an identity.
func client(record lab.AuditRecord) string {
	if rest, ok := strings.CutPrefix(record.User, "system:serviceaccount:"); ok {
		return rest[strings.LastIndex(rest, ":")+1:]
	}

	if strings.HasPrefix(record.User, lab.NodeUserPrefix) || record.User == "admin" {
		name, _, _ := strings.Cut(record.UserAgent, "/")

		return name
	}

	return strings.TrimPrefix(record.User, "system:")
}

// traffic puts requests and bytes together, the busiest client first.
func traffic(records []lab.AuditRecord, bytes map[source]int64) []Traffic {
	all := map[source]*Traffic{}

	entry := func(from source) *Traffic {
		if all[from] == nil {
			all[from] = &Traffic{Client: from.client, Verb: from.verb}
		}

		return all[from]
	}

	for _, record := range records {
		row := entry(source{client(record), record.Verb})
		row.Requests++

		if record.Code == http.StatusTooManyRequests {
			row.Throttled++
		}
	}

	for from, n := range bytes {
		entry(from).Bytes += n
	}

	rows := make([]Traffic, 0, len(all))
	for _, row := range all {
		rows = append(rows, *row)
	}

	slices.SortFunc(rows, func(a, b Traffic) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Verb, b.Verb))
	})

	return rows
}

// requestsOf counts the requests of a client.
func requestsOf(rows []Traffic, client string) int {
	n := 0

	for _, row := range rows {
		if row.Client == client {
			n += row.Requests
		}
	}

	return n
}

// throttled counts the requests that were told to come again later.
func throttled(rows []Traffic) int {
	n := 0
	for _, row := range rows {
		n += row.Throttled
	}

	return n
}
