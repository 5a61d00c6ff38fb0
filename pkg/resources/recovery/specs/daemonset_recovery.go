// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs

import "time"

// DaemonSetRecovery tells what became of one DaemonSet's pod on this node since its boot.
//
// It is also the memory of the controller: what was tried is counted here before it is tried, so that a restart
// neither repeats nor forgets.
type DaemonSetRecovery struct {
	// UID is the UID of the DaemonSet, as its pods name it.
	UID string `yaml:"uid" protobuf:"1"`
	// Phase is where this DaemonSet stands.
	Phase DaemonSetPhase `yaml:"phase" protobuf:"2"`
	// FailedPod is the name of the Failed pod that was dealt with last.
	FailedPod string `yaml:"failedPod" protobuf:"3"`
	// FailedPodUID is the UID of FailedPod.
	FailedPodUID string `yaml:"failedPodUID" protobuf:"4"`
	// Reason is the pod's status.reason, in the kubelet's words; empty if it gave none.
	Reason string `yaml:"reason,omitempty" protobuf:"5"`
	// Message is the pod's status.message, in the kubelet's words; empty if it gave none.
	Message string `yaml:"message,omitempty" protobuf:"6"`
	// Attempts counts the pods whose delete was tried in this boot; trying one pod again does not count.
	Attempts int `yaml:"attempts" protobuf:"7"`
	// Rejections counts those of Attempts that had started in this boot: they delay the next one, and their number is capped.
	// The others are what the boots before left behind, which is a finite number; only their rate is bounded.
	Rejections int `yaml:"rejections" protobuf:"8"`
	// Deleted counts the pods that these attempts deleted; a pod that somebody else deleted first is not counted, nor one
	// whose delete was cut short by a shutdown or a lost connection, which tells nobody whether it was carried out.
	Deleted int `yaml:"deleted" protobuf:"9"`
	// AttemptedAt is when the delete of FailedPod was first tried; zero if it was not.
	AttemptedAt time.Time `yaml:"attemptedAt,omitempty" protobuf:"10"`
	// DeletedAt is when FailedPod was found to be gone, whoever deleted it; if a replacement has gone since, when that was
	// found. Zero if FailedPod is still there.
	DeletedAt time.Time `yaml:"deletedAt,omitempty" protobuf:"11"`
	// NextAttemptAt is the earliest time of the next delete; zero if there is nothing to wait for.
	NextAttemptAt time.Time `yaml:"nextAttemptAt,omitempty" protobuf:"12"`
	// Failures counts the failed tries to delete FailedPod, in a row; it makes the time to the next one grow.
	Failures int `yaml:"failures,omitempty" protobuf:"13"`
	// LastError is why FailedPod could not be deleted, in the server's words; empty after a success.
	LastError string `yaml:"lastError,omitempty" protobuf:"14"`
	// Replacement is the name of the pod that took FailedPod's place; empty until one was seen.
	Replacement string `yaml:"replacementPod,omitempty" protobuf:"15"`
	// ReplacementStatus says in a few words why Replacement is not Ready; empty if it is.
	ReplacementStatus string `yaml:"replacementStatus,omitempty" protobuf:"16"`
	// FinishedAt is when the phase became recovered, released, skipped or unrelated; zero in the others.
	FinishedAt time.Time `yaml:"finishedAt,omitempty" protobuf:"17"`
	// APIGroup is the API group of the DaemonSet, and so tells whose controller it has.
	APIGroup string `yaml:"apiGroup" protobuf:"18"`
	// FailedPodCreatedAt is when FailedPod was created, on the clock of the API server. If the DaemonSet is deleted and created
	// again, a pod of the new one is a replacement unless it is older than this.
	FailedPodCreatedAt time.Time `yaml:"failedPodCreatedAt,omitempty" protobuf:"19"`
	// BootedAt is when this boot began, on the clock that the other times are on, save that of the API server. When the clock is
	// set they are all moved with it. It may be behind that of the status, or ahead, for as long as one of the two is not written.
	BootedAt time.Time `yaml:"bootedAt,omitempty" protobuf:"20"`
}
