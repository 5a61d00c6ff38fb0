// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs

import "time"

// RecoveryStatus tells how far this node's DaemonSet pods have recovered since its boot.
//
// It changes only when something happened: no field counts passes or tells when it was last looked at.
type RecoveryStatus struct {
	// BootID is the kernel's id of the boot that this status speaks of; empty until it is read.
	BootID string `yaml:"bootID" protobuf:"1"`
	// NodeName is the name of the Kubernetes Node; empty until Talos has decided on it.
	NodeName string `yaml:"nodeName" protobuf:"2"`
	// Phase is the one value that a health check waits on.
	Phase Phase `yaml:"phase" protobuf:"3"`
	// Message is one line that names what is missing, or what was done.
	Message string `yaml:"message" protobuf:"4"`
	// Counts sums up the DaemonSetRecoveries.
	Counts Counts `yaml:"counts" protobuf:"5"`
	// StartedAt is when the node's pods were first looked at after the kubelet had started, or again after they had recovered;
	// zero while the kubelet has yet to come.
	StartedAt time.Time `yaml:"startedAt,omitempty" protobuf:"6"`
	// FinishedAt is when the phase became recovered; zero before.
	FinishedAt time.Time `yaml:"finishedAt,omitempty" protobuf:"7"`
	// BootedAt is when the kernel started, on the clock that all times here and in the DaemonSetRecoveries are on. When that
	// clock is set, they are all moved with it, so that the time between two of them stays what it was.
	BootedAt time.Time `yaml:"bootedAt,omitempty" protobuf:"8"`
	// LeftoversBefore is the time before which a pod must have started to be of an earlier boot: the earliest BootedAt since
	// the kubelet first ran in this boot. It is not moved with the clock, since the times of pods are not either.
	LeftoversBefore time.Time `yaml:"leftoversBefore,omitempty" protobuf:"9"`
	// KubeletStart tells the start of the kubelet that this status speaks of from others: it says when Talos created the service
	// and its lifecycle, on the clock of that moment.
	KubeletStart string `yaml:"kubeletStart,omitempty" protobuf:"10"`
	// Obstacle is why nothing may be deleted at the moment, as one of a few words for programs; empty if it may.
	Obstacle string `yaml:"obstacle,omitempty" protobuf:"11"`
}

// Printable returns the status as it can be shown when it comes from somewhere else: its texts bounded, and without what could
// steer a terminal.
func (s RecoveryStatus) Printable() RecoveryStatus {
	for text, limit := range map[*string]int{
		&s.BootID: maxReportWord, &s.NodeName: maxStatusWord, &s.Message: maxStatusMessage, &s.KubeletStart: maxStatusWord,
		&s.Obstacle: maxStatusWord,
	} {
		*text = Printable(*text, limit)
	}

	return s
}

const (
	// maxStatusMessage bounds the message of a status in bytes, maxStatusWord its names.
	maxStatusMessage = 4096
	maxStatusWord    = 256
)

// Counts are numbers of DaemonSets in this boot, except Deleted, which is a number of pods.
type Counts struct {
	// Found counts the DaemonSets with a pod that the reboot left Failed, or that the kubelet rejected after it.
	Found int `yaml:"found" protobuf:"1"`
	// Deleted counts the pods that were deleted for them.
	Deleted int `yaml:"deleted" protobuf:"2"`
	// Recovered counts those whose replacement is Ready.
	Recovered int `yaml:"recovered" protobuf:"3"`
	// Released counts those for which no replacement came, and that are not waited for any more.
	Released int `yaml:"released" protobuf:"4"`
	// Exhausted counts those handed back to the DaemonSet controller.
	Exhausted int `yaml:"exhausted" protobuf:"5"`
	// Blocked counts those whose Failed pod cannot be deleted.
	Blocked int `yaml:"blocked" protobuf:"6"`
	// Skipped counts the DaemonSets that opted out; they are not part of Found.
	Skipped int `yaml:"skipped" protobuf:"7"`
	// Unrelated counts the DaemonSets whose pod failed for another reason; they are not part of Found.
	Unrelated int `yaml:"unrelated" protobuf:"8"`
}
