// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded is what a real DaemonSet controller and a real kubelet did, as `lab record` has written it: hack/lab's package
// history says what the fields mean. Times are milliseconds.
type recorded struct {
	Story      string           `json:"story"`
	Kubernetes string           `json:"kubernetes"`
	Rebound    bool             `json:"rebound"`
	Late       map[string]int64 `json:"late"`
	Events     []recordedEvent  `json:"events"`
}

type recordedEvent struct {
	At        int64              `json:"at"`
	Version   string             `json:"version"`
	Machine   string             `json:"machine"`
	Request   *recordedRequest   `json:"request"`
	DaemonSet *recordedDaemonSet `json:"daemonSet"`
	Node      *recordedNode      `json:"node"`
	Pod       *recordedPod       `json:"pod"`
}

type recordedRequest struct {
	By   string `json:"by"`
	Pod  string `json:"pod"`
	Code int32  `json:"code"`
}

type recordedDaemonSet struct {
	Change     string `json:"change"`
	ID         string `json:"id"`
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	Observed   int64  `json:"observed"`
}

type recordedNode struct {
	Change string `json:"change"`
	Boot   int    `json:"boot"`
	Ready  bool   `json:"ready"`
}

type recordedPod struct {
	Change    string `json:"change"`
	ID        string `json:"id"`
	DaemonSet string `json:"daemonSet"`
	Template  int64  `json:"template"`
	Phase     string `json:"phase"`
	Reason    string `json:"reason"`
	Ready     bool   `json:"ready"`
	Started   *int64 `json:"started"`
	Restarts  int    `json:"restarts"`
	Deleting  bool   `json:"deleting"`
}

// readHistories reads what was recorded, by name.
func readHistories(t *testing.T) map[string]recorded {
	t.Helper()

	paths, err := filepath.Glob(filepath.Join("testdata", "history", "*.json"))
	require.NoError(t, err)

	histories := map[string]recorded{}

	for _, path := range paths {
		file, err := os.Open(path)
		require.NoError(t, err)

		decoder := json.NewDecoder(file)
		decoder.DisallowUnknownFields()

		var history recorded

		require.NoError(t, decoder.Decode(&history), path)
		require.NoError(t, file.Close())

		histories[strings.TrimSuffix(filepath.Base(path), ".json")] = history
	}

	return histories
}
