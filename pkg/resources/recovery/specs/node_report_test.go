// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestANodeReportSaysWhatTheStatusSays(t *testing.T) {
	t.Parallel()

	for phase, want := range map[specs.Phase]string{
		specs.PhaseWaiting:    "Unknown Waiting",
		specs.PhaseRecovering: "False Recovering",
		specs.PhaseRecovered:  "True Recovered",
		specs.PhaseDegraded:   "False Degraded",
		specs.PhaseDisabled:   "Unknown Disabled",
	} {
		report := specs.RecoveryStatus{BootID: "8f0c", Phase: phase, Message: "2 recovered"}.Report(specs.HostAgent)

		assert.Equal(t, want, report.ConditionStatus()+" "+report.ConditionReason())
		assert.Equal(t, "boot 8f0c: 2 recovered", report.ConditionMessage())
		assert.JSONEq(t, `{"host":"agent","bootID":"8f0c","phase":"`+phase.String()+`","message":"2 recovered"}`, report.String())

		read, err := specs.ParseNodeReport(report.String())
		require.NoError(t, err)
		assert.Equal(t, report, read)
	}
}

func TestANodeReportSaysWhenTheNodeHadRecovered(t *testing.T) {
	t.Parallel()

	finished := time.Date(2026, 1, 1, 14, 2, 3, 400, time.FixedZone("east", 3600))
	report := specs.RecoveryStatus{BootID: "8f0c", Phase: specs.PhaseRecovered, FinishedAt: finished}.Report(specs.HostAgent)

	assert.JSONEq(t, `{"host":"agent","bootID":"8f0c","phase":"recovered","finishedAt":"2026-01-01T13:02:03Z"}`, report.String())

	read, err := specs.ParseNodeReport(report.String())
	require.NoError(t, err)
	assert.True(t, report == read, "who writes it compares it so with what was written")
}

func TestANodeReportIsRefused(t *testing.T) {
	t.Parallel()

	for _, text := range []string{"", "recovered", `{"phase":"whole"}`, `{"phase":2`, `[]`} {
		_, err := specs.ParseNodeReport(text)
		assert.ErrorContains(t, err, "recovery.talos.dev/status", text)
	}
}

func FuzzNodeReport(f *testing.F) {
	f.Add(`{"host":"agent","bootID":"8f0c","phase":"recovered","message":"\u001b[31mred\nand more"}`)
	f.Add(`{"host":"\u001b[2J","bootID":"` + strings.Repeat("8f0c\n", 100) + `","finishedAt":"2026-01-01T01:02:03.5+02:00"}`)
	f.Add(`{"message":"` + strings.Repeat("ä", 1000) + `"}`)

	f.Fuzz(func(t *testing.T, text string) {
		report, err := specs.ParseNodeReport(text)
		if err != nil {
			return
		}

		for shown, limit := range map[string]int{report.Message: 512, string(report.Host): 64, report.BootID: 64} {
			assert.LessOrEqual(t, len(shown), limit)
			assert.True(t, utf8.ValidString(shown))
			assert.NotContains(t, shown, "\x1b")
			assert.NotContains(t, shown, "\n")
		}

		again, err := specs.ParseNodeReport(report.String())
		require.NoError(t, err)
		assert.Equal(t, report, again)
	})
}
