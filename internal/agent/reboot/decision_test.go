// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	thisBoot = "8f0c0a8e-6f0e-4d5e-9a51-5a3b1e0c7d11"
	lastBoot = "1d9c7a52-0b5e-4a43-8d0f-2f6a1c9e4b77"
)

var (
	at    = time.Date(2026, 3, 14, 3, 0, 7, 0, time.UTC)
	grant = v1alpha1.Grant{UID: "a", BootID: thisBoot}
)

// attempted is an attempt at a grant after these results, the last of which was at at.
func attempted(results ...error) reboot.Attempt {
	attempt := reboot.Attempt{}
	for _, err := range results {
		attempt = attempt.Begin(grant).End(at, err)
	}

	return attempt
}

func TestWhatAGrantLeadsTo(t *testing.T) {
	t.Parallel()

	broken := errors.New("no bus")

	for name, tc := range map[string]struct {
		facts  reboot.Facts
		want   reboot.Verdict
		reason string
		nextIn time.Duration
	}{
		"no Node":              {facts: reboot.Facts{}, want: reboot.VerdictNone},
		"no grant":             {facts: reboot.Facts{HasNode: true}, want: reboot.VerdictNone},
		"one for this boot":    {facts: reboot.Facts{Grant: grant.String()}, want: reboot.VerdictReboot, reason: "it is for this boot"},
		"one for another boot": {facts: reboot.Facts{Grant: v1alpha1.Grant{UID: "a", BootID: lastBoot}.String()}, want: reboot.VerdictOtherBoot, reason: lastBoot},
		"one for no boot": {
			facts: reboot.Facts{Grant: `{"uid":"a","bootID":""}`}, want: reboot.VerdictMalformed, reason: "does not name both a NodeReboot and a boot",
		},
		"one without a boot": {facts: reboot.Facts{Grant: `{"uid":"a"}`}, want: reboot.VerdictMalformed},
		"one for no NodeReboot": {
			facts: reboot.Facts{Grant: v1alpha1.Grant{BootID: thisBoot}.String()}, want: reboot.VerdictMalformed, reason: "does not name both",
		},
		"a boot id alone":            {facts: reboot.Facts{Grant: thisBoot}, want: reboot.VerdictMalformed, reason: "failed to parse annotation"},
		"half of one":                {facts: reboot.Facts{Grant: grant.String()[:20]}, want: reboot.VerdictMalformed},
		"more than one":              {facts: reboot.Facts{Grant: grant.String() + grant.String()}, want: reboot.VerdictMalformed},
		"the boot id in other words": {facts: reboot.Facts{Grant: v1alpha1.Grant{UID: "a", BootID: strings.ToUpper(thisBoot)}.String()}, want: reboot.VerdictOtherBoot},

		"one under way": {facts: reboot.Facts{Grant: grant.String(), Attempt: reboot.Attempt{}.Begin(grant)}, want: reboot.VerdictUnderWay},
		"another one while one is under way": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: reboot.Attempt{}.Begin(v1alpha1.Grant{UID: "b", BootID: thisBoot})},
			want:  reboot.VerdictUnderWay,
		},
		"one that was agreed to": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(nil)}, want: reboot.VerdictAgreed, nextIn: 5 * time.Minute,
		},
		"one that was agreed to long ago": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(nil), Now: at.Add(5 * time.Minute)},
			want:  reboot.VerdictReboot, reason: "the machine is still up 5m0s after that was agreed to",
		},
		"one that failed": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(broken)}, want: reboot.VerdictFailed, reason: "no bus", nextIn: 5 * time.Second,
		},
		"one that failed and is due": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(broken), Now: at.Add(5 * time.Second)}, want: reboot.VerdictReboot,
			reason: "it failed before and is tried again",
		},
		"one that failed four times": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(broken, broken, broken, broken)}, want: reboot.VerdictFailed, nextIn: 40 * time.Second,
		},
		"one that failed for a day": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(slices.Repeat([]error{broken}, 300)...)}, want: reboot.VerdictFailed, nextIn: 5 * time.Minute,
		},
		"one that failed, was agreed to and failed": {
			facts: reboot.Facts{Grant: grant.String(), Attempt: attempted(broken, broken, nil, broken)}, want: reboot.VerdictFailed, nextIn: 5 * time.Second,
		},
		"another one than was agreed to": {
			facts: reboot.Facts{Grant: v1alpha1.Grant{UID: "b", BootID: thisBoot}.String(), Attempt: attempted(nil)}, want: reboot.VerdictReboot,
		},
		"another one than has failed": {
			facts: reboot.Facts{Grant: v1alpha1.Grant{UID: "b", BootID: thisBoot}.String(), Attempt: attempted(broken)}, want: reboot.VerdictReboot,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			facts := tc.facts
			facts.BootID = thisBoot

			if facts.Now.IsZero() {
				facts.Now = at
			}

			plan := reboot.Decide(facts)
			assert.Equal(t, tc.want, plan.Verdict)
			assert.Contains(t, plan.Reason, tc.reason)

			if tc.nextIn == 0 {
				assert.Zero(t, plan.NextAt)
			} else {
				assert.Equal(t, at.Add(tc.nextIn), plan.NextAt)
			}

			counts := plan.Verdict == reboot.VerdictReboot || plan.Verdict == reboot.VerdictUnderWay ||
				plan.Verdict == reboot.VerdictAgreed || plan.Verdict == reboot.VerdictFailed
			assert.Equal(t, counts, plan.Verdict.Counts())
			assert.Equal(t, counts, plan.Grant.BootID == thisBoot)
		})
	}
}

// TestNothingCountsInABootThatCannotBeTold holds for grants that name no boot as well.
func TestNothingCountsInABootThatCannotBeTold(t *testing.T) {
	t.Parallel()

	for _, value := range []string{grant.String(), `{"uid":"a","bootID":""}`, `{"uid":"a"}`, "", "{}"} {
		plan := reboot.Decide(reboot.Facts{
			Now: at, HasNode: true, Grant: value, Wish: reboot.Wish{Known: true, Wanted: true, Since: at, Reason: "kernel"},
		})

		assert.False(t, plan.Verdict.Counts(), value)
		assert.Equal(t, value == grant.String(), plan.Verdict == reboot.VerdictUnknownBoot, value)
		assert.False(t, plan.Write, "it would say nothing")
		assert.Equal(t, at.Add(time.Minute), plan.NextAt)
	}
}

func TestWhatTheNodeIsToSay(t *testing.T) {
	t.Parallel()

	wanted := reboot.Wish{Known: true, Wanted: true, Since: at.Add(123 * time.Millisecond), Reason: "kernel"}
	earlier := at.Add(-time.Hour)

	for name, tc := range map[string]struct {
		wish    reboot.Wish
		said    string
		attempt reboot.Attempt
		grant   string
		want    v1alpha1.AgentReport
	}{
		"that an agent is there":            {reboot.Wish{}, "", reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot}},
		"that nothing is wanted":            {reboot.Wish{Known: true}, "", reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot}},
		"that a reboot is wanted":           {wanted, "", reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: at, Reason: "kernel"}},
		"nothing of what cannot be read":    {wanted, "{", reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: at, Reason: "kernel"}},
		"since when an agent before saw it": {wanted, said(thisBoot, earlier), reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: earlier, Reason: "kernel"}},
		"nothing of another boot":           {wanted, said(lastBoot, earlier), reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: at, Reason: "kernel"}},
		"the same until more is known":      {reboot.Wish{}, said(thisBoot, earlier), reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: earlier, Reason: "before"}},
		"nothing of a boot before until then": {
			reboot.Wish{}, said(lastBoot, earlier), reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot},
		},
		"that it is not wanted any more": {reboot.Wish{Known: true}, said(thisBoot, earlier), reboot.Attempt{}, "", v1alpha1.AgentReport{BootID: thisBoot}},
		"why there was no reboot": {
			reboot.Wish{Known: true}, "", attempted(errors.New("no bus")), grant.String(), v1alpha1.AgentReport{BootID: thisBoot, Problem: "no bus"},
		},
		"nothing of a grant that is gone": {
			reboot.Wish{Known: true}, "", attempted(errors.New("no bus")), "", v1alpha1.AgentReport{BootID: thisBoot},
		},
		"nothing of another grant": {
			reboot.Wish{Known: true},
			"", attempted(errors.New("no bus")), v1alpha1.Grant{UID: "b", BootID: thisBoot}.String(),
			v1alpha1.AgentReport{BootID: thisBoot},
		},
		"no problem once that was agreed to": {
			reboot.Wish{Known: true}, "", attempted(errors.New("no bus"), nil), grant.String(), v1alpha1.AgentReport{BootID: thisBoot},
		},
		"that the machine was still up": {
			reboot.Wish{Known: true}, "", attempted(nil, nil), grant.String(), v1alpha1.AgentReport{
				BootID: thisBoot, Problem: "the machine was still up after its reboot had been agreed to; agreed to 2 times by now",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			facts := reboot.Facts{
				Now: at, BootID: thisBoot, HasNode: true, Wish: tc.wish, Report: tc.said, Attempt: tc.attempt, Grant: tc.grant,
			}

			plan := reboot.Decide(facts)
			assert.Equal(t, tc.want, plan.Report)
			assert.Equal(t, tc.said != tc.want.String(), plan.Write)

			facts.Report = plan.Report.String()
			assert.False(t, reboot.Decide(facts).Write, "it is said already")

			facts.Report, facts.HasNode = tc.said, false
			assert.False(t, reboot.Decide(facts).Write, "there is no Node to say it on")
		})
	}
}

// said is what an agent has said on the Node.
func said(bootID string, since time.Time) string {
	return v1alpha1.AgentReport{BootID: bootID, Wanted: true, WantedSince: since, Reason: "before"}.String()
}

func TestALongReportIsWrittenOnce(t *testing.T) {
	t.Parallel()

	facts := reboot.Facts{
		Now: at, BootID: thisBoot, HasNode: true, Grant: grant.String(), Attempt: attempted(fmt.Errorf("\x1b[31m%s", strings.Repeat("é", 1000))),
		Wish: reboot.Wish{Known: true, Wanted: true, Since: at, Reason: strings.Repeat("linux-base, ", 1000)},
	}

	plan := reboot.Decide(facts)
	require.True(t, plan.Write)
	assert.Less(t, len(plan.Report.String()), 1000)
	assert.NotContains(t, plan.Report.String(), "u001b")

	facts.Report = plan.Report.String()
	assert.False(t, reboot.Decide(facts).Write)
}
