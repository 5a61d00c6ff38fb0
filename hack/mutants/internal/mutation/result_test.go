// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
)

// results are one that is well and one that is not.
func results() []mutation.Result {
	killed, survived := door("inside < 4", "TestADoor/is closed for four"), knock("_ = 1")
	killed.Section, killed.Rule = "doors §1", "Three may come in."
	survived.Folder = "house"

	return []mutation.Result{
		{Row: killed, Verdict: mutation.VerdictKilled, Took: 1500 * time.Millisecond, Output: "FAIL"},
		{Row: survived, Verdict: mutation.VerdictSurvived},
	}
}

func TestTheTableEndsWithTheCounts(t *testing.T) {
	t.Parallel()

	var text strings.Builder

	require.NoError(t, mutation.WriteTable(&text, results()))

	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, []string{"VERDICT", "SECTION", "ROW", "RULE", "TEST"}, strings.Fields(lines[0]))
	assert.Contains(t, lines[1], "Three may come in.")
	assert.Contains(t, lines[1], "door: TestADoor/is closed for four")
	assert.Contains(t, lines[2], "house: TestAKnock")
	assert.Equal(t, "1 of 2 killed, 1 survived", lines[3])
	assert.False(t, mutation.AllKilled(results()))
}

func TestTheReportHasEveryRow(t *testing.T) {
	t.Parallel()

	name := filepath.Join(t.TempDir(), "build", "mutants.json")
	require.NoError(t, mutation.WriteJSON(name, results()))

	text, err := os.ReadFile(name)
	require.NoError(t, err)

	var report struct{ Rows []map[string]any }

	require.NoError(t, json.Unmarshal(text, &report))
	require.Len(t, report.Rows, 2)
	assert.Equal(t, map[string]any{
		"name": "door", "section": "doors §1", "rule": "Three may come in.", "file": "door/door.go", "old": "inside < 3",
		"new": "inside < 4", "folder": "door", "test": "TestADoor/is closed for four", "verdict": "killed", "seconds": 1.5, "output": "FAIL",
	}, report.Rows[0])
	assert.Equal(t, "survived", report.Rows[1]["verdict"])
}
