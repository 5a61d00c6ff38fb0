// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package v1alpha1_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// FuzzAgentReport reads what a node may write about itself.
func FuzzAgentReport(f *testing.F) {
	f.Add(`{"bootID":"8f0c","wanted":true,"wantedSince":"2026-03-02T12:00:00.5+02:00","reason":"\u001b[31mred\n\u202e"}`)
	f.Add(`{"bootID":"` + strings.Repeat("8f0c\n", 100) + `","problem":"` + strings.Repeat("ä", 1000) + `"}`)
	f.Add(`{"wantedSince":"9999-12-31T23:59:59-23:59"}`)
	f.Add(`[]`)

	f.Fuzz(func(t *testing.T, text string) {
		report, err := v1alpha1.ParseAgentReport(text)
		if err != nil {
			require.ErrorContains(t, err, v1alpha1.AgentAnnotation)

			return
		}

		for shown, limit := range map[string]int{report.Reason: 256, report.Problem: 256, report.BootID: 64} {
			assert.LessOrEqual(t, len(shown), limit)
			assert.True(t, utf8.ValidString(shown))
			assert.Equal(t, -1, strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }))
		}

		again, err := v1alpha1.ParseAgentReport(report.String())
		require.NoError(t, err)
		assert.True(t, report.WantedSince.Equal(again.WantedSince))

		again.WantedSince = report.WantedSince
		assert.Equal(t, report, again, "it stays as it is")
	})
}

// FuzzGrant reads what anybody may write who may change the Node.
func FuzzGrant(f *testing.F) {
	f.Add(`{"uid":"6b1f","bootID":"8f0c"}`)
	f.Add(`{"uid":"","bootID":"\u0000"}`)
	f.Add(`null`)

	f.Fuzz(func(t *testing.T, text string) {
		grant, err := v1alpha1.ParseGrant(text)
		if err != nil {
			require.ErrorContains(t, err, v1alpha1.GrantAnnotation)

			return
		}

		again, err := v1alpha1.ParseGrant(grant.String())
		require.NoError(t, err)
		assert.Equal(t, grant, again)
	})
}
