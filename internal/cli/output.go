// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Format is how a result is printed. It is the value of a flag.
type Format string

const (
	// FormatText is for people.
	FormatText Format = "text"
	// FormatJSON is one JSON object for scripts.
	FormatJSON Format = "json"
)

// Formats are all formats, the default first.
func Formats() []string { return []string{string(FormatText), string(FormatJSON)} }

// Set implements the flag's value.
func (format *Format) Set(text string) error {
	if *format = Format(text); *format != FormatText && *format != FormatJSON {
		return errors.New("use text or json")
	}

	return nil
}

// String implements the flag's value.
func (format *Format) String() string { return string(*format) }

// Type implements the flag's value.
func (format *Format) Type() string { return "format" }

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
	// DaemonSets is what the agent of this machine knows of each; nil if that was not asked.
	DaemonSets []daemonSetResult `json:"daemonSets,omitzero"`
}

type recoveryResult struct {
	BootID   string      `json:"bootID"`
	NodeName string      `json:"nodeName"`
	Phase    specs.Phase `json:"phase"`
	Message  string      `json:"message"`
	// Counts is null if all that is known is the report on the Node.
	Counts     *countsResult `json:"counts"`
	StartedAt  time.Time     `json:"startedAt,omitzero"`
	FinishedAt time.Time     `json:"finishedAt,omitzero"`
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

// write prints a verdict as JSON or as a table, with what is known of the DaemonSets if it is on one node.
func write(out io.Writer, format Format, verdict check.Verdict, daemonSets ...daemonSetResult) error {
	var err error

	switch {
	case format == FormatJSON:
		err = writeJSON(out, verdict, daemonSets)
	case len(daemonSets) > 0:
		err = errors.Join(writeTable(out, verdict), writeDaemonSets(out, daemonSets))
	default:
		err = writeTable(out, verdict)
	}

	if err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	return nil
}

func writeJSON(out io.Writer, verdict check.Verdict, daemonSets []daemonSetResult) error {
	result := clusterResult{Status: verdict.Status, Reason: verdict.Reason, Nodes: []nodeResult{}}

	for _, node := range verdict.Nodes {
		one := nodeResult{
			Name: node.Name, Address: check.OneLine(node.Answer.Node.Address), Status: node.Status, Reason: node.Reason, Answer: node.Answer.Outcome,
			DaemonSets: daemonSets,
		}

		if status := node.Answer.Status; status != nil {
			one.Recovery = &recoveryResult{
				BootID: status.BootID, NodeName: status.NodeName, Phase: status.Phase, Message: status.Message,
				StartedAt: status.StartedAt, FinishedAt: status.FinishedAt,
			}

			if node.Answer.Report == nil {
				one.Recovery.Counts = new(countsResult(status.Counts))
			}
		}

		result.Nodes = append(result.Nodes, one)
	}

	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)

	return encoder.Encode(result)
}

func writeTable(out io.Writer, verdict check.Verdict) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)

	fmt.Fprintln(table, "NODE\tADDRESS\tVERDICT\tPHASE\tFOUND\tDELETED\tRECOVERED\tMESSAGE")

	for _, node := range verdict.Nodes {
		phase, found, deleted, recovered := "-", "-", "-", "-"

		if status := node.Answer.Status; status != nil {
			phase = status.Phase.String()
		}

		if status := node.Answer.Status; status != nil && node.Answer.Report == nil {
			found, deleted, recovered = strconv.Itoa(status.Counts.Found), strconv.Itoa(status.Counts.Deleted), strconv.Itoa(status.Counts.Recovered)
		}

		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			node.Name, cmp.Or(check.OneLine(node.Answer.Node.Address), "-"), node.Status, phase, found, deleted, recovered, node.Reason)
	}

	return table.Flush()
}
