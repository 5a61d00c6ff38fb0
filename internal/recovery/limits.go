// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"slices"
	"time"
)

// The limits of the decision. Those that a Talos build may change are fields of Settings with these defaults.
const (
	// DefaultRejectionCap is how many pods of one DaemonSet are deleted in one boot after the kubelet rejected them.
	DefaultRejectionCap = 10

	// leftoverBurst is how many pods of one DaemonSet that are left from before this boot are deleted one after the other
	// without a delay. A DaemonSet with maxSurge leaves many of them behind in one shutdown, because its controller creates
	// although there is a Failed pod (Kubernetes 1.36, pkg/controller/daemon; 20 to 74 within two seconds, measured in
	// hack/lab). They are finite in number, so they are all deleted, but at a bounded rate: if ever new ones are taken for old
	// ones, it is no hot loop.
	leftoverBurst = 100
	// leftoverInterval is the time between two deletes after that.
	leftoverInterval = time.Second

	// DefaultSettleTime is how long nothing may be Failed or missing before the node counts as recovered. A kubelet that
	// rejects a pod in its first two seconds tells so only ten seconds after its start, at its next full status sync
	// (measured with Kubernetes 1.36). Talos takes two of those to find it healthy, an agent less than one, so the two
	// that are left have to be waited for. There is no way to ask the kubelet whether it has rejected a pod meanwhile.
	DefaultSettleTime = 12 * time.Second

	// GroupApps is the API group of the DaemonSets that Kubernetes itself has.
	GroupApps = "apps"
	// GroupKruise is the API group of OpenKruise's Advanced DaemonSet, whose controller keeps the same back-off.
	GroupKruise = "apps.kruise.io"

	// KindDaemonSet is the kind that the controller of a pod must have, in one of the owner groups.
	KindDaemonSet = "DaemonSet"

	// SkipAnnotation on a pod, with the value "true", opts it out.
	SkipAnnotation = "recovery.talos.dev/skip"

	// rejectionDelayLimit bounds the time between a rejection and the delete: 0, 1, 2, 4, … 256 s.
	rejectionDelayLimit = 256 * time.Second

	// missedAfter is how long a replacement may stay away before the message says what may be wrong.
	missedAfter = 2 * time.Minute
	// releaseAfter is how long a replacement is waited for if the DaemonSet controller has shown life since. It is longer than
	// a DaemonSet controller that works takes for anything, but for the retries of a create that is refused, which it may
	// spread over 1000 s: no time is long enough to tell those from a DaemonSet that wants no pod here any more.
	releaseAfter = 5 * time.Minute
	// releaseWithoutSignAfter is the same when the DaemonSet controller has not shown life. It is the longest that the
	// DaemonSet controller's back-off can last.
	releaseWithoutSignAfter = 15 * time.Minute

	// blockedAfter is how many times in a row a delete must have failed for a person to look at it, whatever the reason. Each
	// of them is a series of tries.
	blockedAfter = 3

	// refusedDelay and refusedDelayLimit bound the time between two tries of a delete that the server refused.
	refusedDelay      = 5 * time.Second
	refusedDelayLimit = 5 * time.Minute
	// failedDelay and failedDelayLimit do the same for every other failure. A try is itself a series of retries.
	failedDelay      = time.Second
	failedDelayLimit = time.Minute

	// echoTime is how long a pod may still be seen after its delete succeeded, before it is deleted again.
	echoTime = 30 * time.Second

	// reportTime is how long a pod is held for a report of the kubelet at the most. A kubelet that is up reports at least every
	// five minutes (nodeStatusReportFrequency), but its clock may have been set in between.
	reportTime = 6 * time.Minute
	// nodeInterval is the time between two looks at the Node object meanwhile. The kubelet's own interval is ten seconds.
	nodeInterval = 5 * time.Second

	// bootRetryTime is how long to wait before the boot's id and time are read again, as nothing tells when they can be.
	bootRetryTime = 5 * time.Second

	// namedInMessage is how many DaemonSets the node's message names before it only counts.
	namedInMessage = 3
)

// Settings are what a Talos build may change. Every field must be set; DefaultSettings does.
type Settings struct {
	// OwnerGroups are the API groups whose kind DaemonSet is looked after.
	OwnerGroups []string
	// RejectionCap is the number of deletes per DaemonSet and boot for pods that had started in this boot. Those that had
	// started before are not capped.
	RejectionCap int
	// SettleTime is how long nothing may be Failed or missing before the node counts as recovered.
	SettleTime time.Duration
	// YieldsToMachined is whether nothing is done on a node whose machined has rebound: true for an agent.
	YieldsToMachined bool
}

// DefaultSettings returns the settings that an unconfigured build has.
func DefaultSettings() Settings {
	return Settings{
		OwnerGroups:  []string{GroupApps, GroupKruise},
		RejectionCap: DefaultRejectionCap,
		SettleTime:   DefaultSettleTime,
	}
}

// LooksAfter tells whether an owner is a DaemonSet of one of the groups.
func (settings Settings) LooksAfter(owner Owner) bool {
	return owner.Kind == KindDaemonSet && slices.Contains(settings.OwnerGroups, owner.Group)
}
