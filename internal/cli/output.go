// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Format is how a result is printed.
type Format string

const (
	// FormatText is for people.
	FormatText Format = "text"
	// FormatJSON is one JSON object for scripts.
	FormatJSON Format = "json"
)

// Formats are all formats, the default first.
func Formats() []string { return []string{string(FormatText), string(FormatJSON)} }

func (format Format) validate() error {
	switch format {
	case FormatText, FormatJSON:
		return nil
	default:
		return fmt.Errorf("unknown output format %q: use %s or %s", string(format), FormatText, FormatJSON)
	}
}

// clusterResult is a verdict for scripts.
type clusterResult struct {
	Status check.Status `json:"status"`
	Reason string       `json:"reason"`
	Nodes  []nodeResult `json:"nodes"`
}

type nodeResult struct {
	Name    string        `json:"name"`
	Address string        `json:"address"`
	Status  check.Status  `json:"status"`
	Reason  string        `json:"reason"`
	Answer  check.Outcome `json:"answer"`
	// Recovery is what the node says of itself; null if it says nothing.
	Recovery *recoveryResult `json:"recovery"`
}

type recoveryResult struct {
	BootID     string       `json:"bootID"`
	NodeName   string       `json:"nodeName"`
	Phase      specs.Phase  `json:"phase"`
	Message    string       `json:"message"`
	Counts     countsResult `json:"counts"`
	StartedAt  time.Time    `json:"startedAt,omitzero"`
	FinishedAt time.Time    `json:"finishedAt,omitzero"`
}

type countsResult struct {
	Found     int `json:"found"`
	Deleted   int `json:"deleted"`
	Recovered int `json:"recovered"`
	Released  int `json:"released"`
	Exhausted int `json:"exhausted"`
	Blocked   int `json:"blocked"`
	Skipped   int `json:"skipped"`
	Unrelated int `json:"unrelated"`
}

func writeJSON(w io.Writer, verdict check.Verdict) error {
	result := clusterResult{Status: verdict.Status, Reason: verdict.Reason, Nodes: []nodeResult{}}

	for _, node := range verdict.Nodes {
		result.Nodes = append(result.Nodes, nodeResult{
			Name: node.Name, Address: node.Answer.Node.Address, Status: node.Status, Reason: node.Reason, Answer: node.Answer.Outcome,
			Recovery: newRecoveryResult(node),
		})
	}

	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)

	if err := encoder.Encode(result); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}

func newRecoveryResult(node check.NodeVerdict) *recoveryResult {
	status := node.Answer.Status
	if status == nil {
		return nil
	}

	return &recoveryResult{
		BootID: status.BootID, NodeName: status.NodeName, Phase: status.Phase, Message: status.Message,
		Counts: countsResult(status.Counts), StartedAt: status.StartedAt, FinishedAt: status.FinishedAt,
	}
}
