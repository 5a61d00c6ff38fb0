// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy

import (
	"encoding/json"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Answer is the Fault that a request is not passed on, and is answered in the
// words of the API server. With RetryAfterSeconds in its details, the answer
// says so in its header as well.
func Answer(refusal *apierrors.StatusError) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			status := refusal.Status()
			status.Kind, status.APIVersion = "Status", "v1"

			if details := status.Details; details != nil && details.RetryAfterSeconds > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(details.RetryAfterSeconds)))
			}

			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(int(status.Code))

			// The client may be gone.
			json.NewEncoder(w).Encode(status) //nolint:errcheck,errchkjson // as above
		})
	}
}
