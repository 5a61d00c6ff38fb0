// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/faults"
)

func report() *faults.Report {
	return &faults.Report{Rows: []faults.Result{
		{Name: "good", Half: faults.Recovery, Fault: "none", Expected: "recovered", Seen: "recovered", Requests: 5, Bound: 9, Passed: true},
		{Name: "bad <b>", Half: faults.Reboots, Fault: "cut", Expected: "Done", Seen: "<script>alert(1)</script>", Requests: 70, Bound: 9},
	}}
}

func TestReportHasTheRowsAsSaid(t *testing.T) {
	t.Parallel()

	text, err := report().JSON()
	require.NoError(t, err)

	var decoded struct {
		Rows []map[string]any `json:"rows"`
	}

	require.NoError(t, json.Unmarshal(text, &decoded))
	require.Len(t, decoded.Rows, 2)

	for key, value := range map[string]any{
		"name": "bad <b>", "half": "reboots", "expected": "Done", "seen": "<script>alert(1)</script>", "requests": 70., "passed": false,
	} {
		assert.Equal(t, value, decoded.Rows[1][key], key)
	}
}

func TestPageShowsTextOfOthersAsText(t *testing.T) {
	t.Parallel()

	page, err := report().Page()
	require.NoError(t, err)

	assert.NotContains(t, string(page), "<script>")
	assert.Contains(t, string(page), "&lt;script&gt;")
	assert.Contains(t, string(page), "1 of 2 rows failed")
}

func TestPageShowsFailedRowsFirst(t *testing.T) {
	t.Parallel()

	all := report()
	all.Rows[1].Half = all.Rows[0].Half

	page, err := all.Page()
	require.NoError(t, err)

	assert.Regexp(t, `(?s)<tr class="failed"><td class="word">failed</td><td>bad .*<tr><td class="word">ok</td><td>good</td>`, string(page))
}

func TestTableSaysWhatWasExpectedOfAFailedRow(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	require.NoError(t, report().WriteTable(&out))
	assert.Contains(t, out.String(), "FAILED  reboots   70/9")
	assert.Contains(t, out.String(), "expected: Done\n  seen:     <script>")
	assert.NotContains(t, out.String(), "expected: recovered")
}

func TestReportFailsWithOneOfItsRows(t *testing.T) {
	t.Parallel()

	all := report()
	require.ErrorContains(t, all.Check(), "1 of 2 rows failed")

	all.Rows = all.Rows[:1]
	require.NoError(t, all.Check())
}

func TestReportsDifferByMoreThanRequestsAndSeconds(t *testing.T) {
	t.Parallel()

	first, second := report(), report()
	second.Rows[0].Requests, second.Rows[0].Seconds = 99, 99
	require.NoError(t, second.Differs(first))

	second.Rows[0].Seen = "recovered later"
	require.ErrorContains(t, second.Differs(first), `row "good" is not as before: recovered later; before: recovered`)

	second.Rows = second.Rows[:1]
	require.ErrorContains(t, second.Differs(first), "1 rows, and not 2 as before")
}

var errMade = errors.New("made up")
