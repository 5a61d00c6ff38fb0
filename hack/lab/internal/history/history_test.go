// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package history_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/history"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()
	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))
	goleak.VerifyTestMain(m)
}

func TestAHistoryHasWhatWasDoneAndWhatCameOfIt(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()

	var out bytes.Buffer

	folder := filepath.Join(t.TempDir(), "histories")
	require.NoError(t, history.Run(ctx, history.Options{Out: folder, Only: []string{"deleted"}}, &out))
	assert.Regexp(t, `^deleted: \d+ events\n$`, out.String())

	content, err := os.ReadFile(filepath.Join(folder, "deleted.json"))
	require.NoError(t, err)

	var recorded history.History

	require.NoError(t, json.Unmarshal(content, &recorded))
	assert.True(t, recorded.Rebound)
	assert.NotEmpty(t, recorded.Kubernetes)

	var (
		steps   []history.Step
		askers  = map[string]bool{}
		removed = map[string]bool{}
		last    int64
	)

	for _, event := range recorded.Events {
		assert.GreaterOrEqual(t, event.At, last, "in order of time")
		last = event.At

		switch {
		case event.Machine != "":
			steps = append(steps, event.Machine)
		case event.Request != nil:
			askers[event.Request.By] = true
		case event.DaemonSet != nil && event.DaemonSet.Change == history.Deleted:
			removed[event.DaemonSet.Name] = true
		}
	}

	assert.Equal(t, []history.Step{
		history.StepUp, history.StepHealthy, history.StepShutdown, history.StepDown, history.StepUp, history.StepHealthy,
	}, steps)
	assert.True(t, askers["daemonset-controller"], "it deletes a Failed pod")
	assert.Equal(t, map[string]bool{"proxy": true}, removed)
}

func TestAnUnknownHistoryIsRefused(t *testing.T) {
	t.Parallel()

	err := history.Run(t.Context(), history.Options{Out: t.TempDir(), Only: []string{"soft"}}, &bytes.Buffer{})
	assert.ErrorContains(t, err, `unknown history "soft": there are graceful, `)
}
