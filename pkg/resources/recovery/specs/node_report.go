// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// NodeAnnotation is the annotation of the Node object that carries a NodeReport. Talos mirrors it into its NodeStatus
	// resource, where a stock talosctl can read it.
	NodeAnnotation = "recovery.talos.dev/status"
	// NodeCondition is the condition of the Node object that says the same: True if the node has recovered, False if it has
	// not, Unknown if that is not known yet. It survives a reboot, so it counts only with the boot that its message names.
	NodeCondition = "recovery.talos.dev/DaemonSetsRecovered"
)

// Host is what rebound runs in.
type Host string

// The hosts. Where both are, the agent gives way.
const (
	HostMachined Host = "machined"
	HostAgent    Host = "agent"
)

const (
	// maxReportMessage bounds the message of a report in bytes: it is written to the API server on every change.
	maxReportMessage = 512
	// maxReportWord bounds host and boot id, which are shown as they were read.
	maxReportWord = 64
)

// NodeReport is what a node says about its recovery on its own Node object.
type NodeReport struct {
	// Host is what rebound runs in.
	Host Host `json:"host"`
	// BootID is the boot that the report is about.
	BootID string `json:"bootID"`
	// Phase and Message are those of the RecoveryStatus.
	Phase   Phase  `json:"phase"`
	Message string `json:"message,omitempty"`
	// FinishedAt is when the phase became recovered, on the node's clock in whole seconds; zero before. It tells boots apart
	// for who cannot learn the present boot's id.
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}

// Report makes the report of a status. The message is cut to a bounded length, and what could steer a terminal is left out.
func (s RecoveryStatus) Report(host Host) NodeReport {
	return NodeReport{
		Host: host, BootID: s.BootID, Phase: s.Phase, Message: Printable(s.Message, maxReportMessage),
		FinishedAt: s.FinishedAt.UTC().Truncate(time.Second),
	}
}

// ParseNodeReport reads the value of a NodeAnnotation. Anybody who may change the Node may have written it, so its texts are
// cut to a bounded length, and what could steer a terminal is left out. The error may repeat parts of the value as they are.
func ParseNodeReport(text string) (NodeReport, error) {
	var report NodeReport

	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return NodeReport{}, fmt.Errorf("failed to parse annotation %q: %w", NodeAnnotation, err)
	}

	report.Host = Host(Printable(string(report.Host), maxReportWord))
	report.BootID = Printable(report.BootID, maxReportWord)
	report.Message = Printable(report.Message, maxReportMessage)

	return report, nil
}

// String returns the value of a NodeAnnotation.
func (r NodeReport) String() string {
	text, err := json.Marshal(r)
	if err != nil {
		return "" // it has only strings
	}

	return string(text)
}

// ConditionStatus is the status of the NodeCondition.
func (r NodeReport) ConditionStatus() string {
	switch r.Phase {
	case PhaseRecovered:
		return "True"
	case PhaseRecovering, PhaseDegraded:
		return "False"
	case PhaseWaiting, PhaseDisabled:
	}

	return "Unknown"
}

// ConditionReason is the reason of the NodeCondition: the phase as one word.
func (r NodeReport) ConditionReason() string {
	name := r.Phase.String()

	return strings.ToUpper(name[:1]) + name[1:]
}

// ConditionMessage is the message of the NodeCondition.
func (r NodeReport) ConditionMessage() string {
	return fmt.Sprintf("boot %s: %s", r.BootID, r.Message)
}

// credentials are the user and password in a URL.
var credentials = regexp.MustCompile(`(://)[^/\s"]*@`)

// Printable returns at most limit bytes of what others have said, limit being at least three: without what is no printable
// character, such as the escapes and the marks of direction that steer a terminal, and without the user and the password of a
// URL. What is printable already stays as it is.
func Printable(text string, limit int) string {
	isCut := len(text) > readFactor*limit
	if isCut {
		text = text[:readFactor*limit]
	}

	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return -1
		case unicode.IsPrint(r):
			return r
		default:
			return ' '
		}
	}, text)

	if isCut {
		text = withoutLastURL(text)
	}

	if strings.ContainsRune(text, '@') {
		text = credentials.ReplaceAllString(text, "$1")
	}

	if len(text) <= limit && !isCut {
		return text
	}

	const more = "…"

	cut := min(limit-len(more), len(text))
	for cut < len(text) && !utf8.RuneStart(text[cut]) {
		cut--
	}

	return text[:cut] + more
}

// readFactor bounds what Printable looks at, in limits: of a mebibyte the rest is not worth its time.
const readFactor = 4

// withoutLastURL leaves out a URL at the end of a text that was cut: the credentials in it may have no end.
func withoutLastURL(text string) string {
	word := strings.LastIndexByte(text, ' ') + 1

	if url := strings.Index(text[word:], "://"); url >= 0 {
		return text[:word+url]
	}

	return text
}
