// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table

import "github.com/talos-rebound/rebound/hack/mutants/internal/mutation"

// costs is what the API server is spared.
func costs() []mutation.Row {
	const (
		nodeReport = "pkg/controllers/recovery/node_report.go"
		deletes    = "pkg/controllers/recovery/delete.go"
		session    = "pkg/controllers/recovery/session.go"
		look       = "pkg/controllers/recovery/look.go"
		plan       = "internal/recovery/plan.go"
	)

	return []mutation.Row{
		{
			Name: "costs/look", Rule: "Deletes that are due together share one look at the Node.",
			File: look, Old: `if l.current != nil && l.current.number > count {`, New: `if l.current != nil && false {`,
			Test: "TestDeletesThatAreDueTogetherShareOneLook",
		},
		{
			Name: "costs/old-look", Rule: "A look that began before a pod was seen to be Failed says nothing for its delete.",
			File: look, Old: `l.current.number > count`, New: `l.current.number >= 0`,
			Test: "TestALookThatBeganBeforeThePodFailedIsNotShared",
		},
		{
			Name: "costs/retry-look", Rule: "Each try looks anew.",
			File: deletes, Old: `looks = connection.looks.count()`, New: `looks += 0`,
			Test: "TestARetryLooksAnew",
		},
		{
			Name: "costs/quick", Rule: "A recovery that nothing holds up is told in three reports.",
			File: nodeReport, Old: `detailInterval = 20 * time.Second`, New: `detailInterval = 5 * time.Second`,
			Test: "TestAQuickRecoveryIsToldInThreeReports",
		},
		{
			Name: "costs/words", Rule: "Words about one phase are reported more and more seldom.",
			File: nodeReport, Old: `next = 2 * rep.detailDelay`, New: `next = rep.detailDelay`,
			Test: "TestWordsAboutOnePhaseAreReportedMoreAndMoreSeldom",
		},
		{
			Name: "costs/long", Rule: "A report that took long is followed by fewer words.",
			File: nodeReport, Old: `min(busyFactor*took, busyPause)`, New: `min(0*took, busyPause)`,
			Test: "TestAReportThatTookLongIsFollowedByFewer",
		},
		{
			Name: "costs/busy", Rule: "Nodes that find the API server busy go on at different times.",
			File: session, Old: `rand.N(min(busySpread*took, busyLimit))`, New: `rand.N(min(took/busySpread, busyLimit))`,
			Test: "TestNodesThatFindTheAPIServerBusySpread",
		},
		{
			Name: "costs/soon", Rule: "A node that is answered soon does not wait.",
			File: session, Old: `if took < busyTime {`, New: `if took < busyTime/2 {`,
			Test: "TestANodeThatIsAnsweredSoonDoesNotWait",
		},
		{
			Name: "costs/busy-limit", Rule: "No node waits longer than a minute for that.",
			File: session, Old: `busyLimit  = time.Minute`, New: `busyLimit  = time.Hour`,
			Test: "TestNoNodeWaitsLongForABusyAPIServer",
		},
		{
			Name: "costs/events", Rule: "Events are left one after the other.",
			File: session, Old: `recording: make(chan struct{}, 1),`, New: `recording: make(chan struct{}, 9),`,
			Test: "TestEventsAreLeftOneAfterTheOther",
		},
		{
			Name: "costs/rest", Rule: "A node that has recovered has no connection.",
			File: plan, Old: `return Decision{Connect: p.hasMoreToHear(records),`, New: `return Decision{Connect: true,`,
			Folder: "pkg/controllers/recovery", Test: "TestARecoveredNodeAsksForNothing",
		},
	}
}
