// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apiproxy_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/apiproxy"
)

func TestAWatchEndsAsIfItsTimeWasUp(t *testing.T) {
	w := newWire(t)
	done := make(chan struct{})
	w.proxy.Inject(apiproxy.End(done), everything, 1)

	answer := w.do(t, http.MethodGet, "/watch")
	w.events <- "one"

	first := make([]byte, 4)
	_, err := io.ReadFull(answer.body, first)
	require.NoError(t, err)
	assert.Equal(t, "one\n", string(first))

	close(done)

	rest, err := io.ReadAll(answer.body)
	require.NoError(t, err, "nothing is missing")
	assert.Empty(t, rest)
}
