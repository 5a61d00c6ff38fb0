// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

import (
	"net/http"

	"k8s.io/client-go/rest"
)

// WithoutRetries returns a configuration whose clients hand on every answer at once. Others wait and try again, ten times at
// most, if the API server says after how long to (k8s.io/client-go, rest.Request.MaxRetries). It says so while a
// PodDisruptionBudget is being processed: for as long, a worker would be taken, a budget that allows the eviction by then
// would not be used, and a node that was given back would lose a pod after all.
func WithoutRetries(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return impatient{next} })

	return config
}

type impatient struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (i impatient) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := i.next.RoundTrip(request)
	if err == nil {
		response.Header.Del("Retry-After")
	}

	return response, err
}
