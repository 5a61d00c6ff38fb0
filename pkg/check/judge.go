// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/grpc/status"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// namedNodes is how many nodes a reason names that it is the same for.
	namedNodes = 3
	// namedReasons is how many different reasons the cluster's reason has room for.
	namedReasons = 4
	// namedLength is how many characters of a node's reason it has room for: a webhook may say anything.
	namedLength = 300
	// maxLine bounds a line of what somebody else says, in bytes.
	maxLine = 4096
)

// Judge says what the answers mean. Their order does not matter. No answers at all is a failing cluster: a check of
// nothing must not pass.
func Judge(answers []Answer) Verdict {
	if len(answers) == 0 {
		return Verdict{Status: StatusFailing, Reason: "there are no nodes to check"}
	}

	verdict := Verdict{Nodes: make([]NodeVerdict, 0, len(answers))}

	for _, answer := range answers {
		judged, reason := judgeNode(answer)

		verdict.Nodes = append(verdict.Nodes, NodeVerdict{
			Name: OneLine(answer.name()), Status: judged, Reason: OneLine(reason), Answer: answer,
		})
	}

	slices.SortStableFunc(verdict.Nodes, func(a, b NodeVerdict) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Answer.Node.Address, b.Answer.Node.Address))
	})

	verdict.Status = worst(verdict.Nodes)

	switch verdict.Status {
	case StatusFailing, StatusWaiting:
		verdict.Reason = culprits(verdict.Nodes)
	case StatusPassed, StatusSkipped:
		verdict.Reason = summary(verdict.Nodes)
	}

	return verdict
}

func judgeNode(answer Answer) (Status, string) {
	switch answer.Outcome {
	case OutcomeStatus:
		return judgeStatus(answer)
	case OutcomeNotFound:
		return StatusWaiting, "no recovery status yet, it has just booted"
	case OutcomeUnsupported:
		return StatusSkipped, "it is without rebound"
	case OutcomeDoubtful:
		return StatusWaiting, Words(answer.Err)
	case OutcomeRefused:
		return StatusFailing, "refused: " + Words(answer.Err) + refusalHint(Words(answer.Err))
	default:
		return StatusFailing, "unreachable: " + Words(answer.Err)
	}
}

func judgeStatus(answer Answer) (Status, string) {
	if answer.Status == nil {
		return StatusFailing, "the answer has no recovery status"
	}

	reason := cmp.Or(answer.Status.Message, answer.Status.Phase.String())

	switch answer.Status.Phase {
	case specs.PhaseRecovered, specs.PhaseDisabled:
		return StatusPassed, reason
	case specs.PhaseWaiting, specs.PhaseRecovering:
		return StatusWaiting, reason
	case specs.PhaseDegraded:
		return StatusFailing, reason
	default:
		return StatusFailing, fmt.Sprintf("its phase %d is newer than this check: %s", int(answer.Status.Phase), reason)
	}
}

// refusalHint says what would help. The words are those of siderolabs/talos v1.13.9 (pkg/grpc/middleware/authz,
// internal/app/apid/pkg/director).
func refusalHint(words string) string {
	switch words {
	case "not authorized":
		return "; reading takes the role os:reader"
	case "no request forwarding":
		return "; this endpoint is a worker, use a control plane node as endpoint"
	default:
		return ""
	}
}

// Words are what an error of the Talos API says, without the name of its code and what gRPC wraps around a connection's.
func Words(err error) string {
	if err == nil {
		return "no answer"
	}

	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}

	words := cmp.Or(s.Message(), s.Code().String())

	// gRPC says of a connection: connection error: desc = "transport: Error while dialing: dial tcp …".
	if _, connection, ok := strings.Cut(words, `connection error: desc = "`); ok {
		words = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(connection, `"`), "transport: "), "Error while dialing: ")
	}

	return words
}

// OneLine keeps a pod's or a server's words from breaking the line or the terminal. What is very long is cut.
func OneLine(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })

	return specs.Printable(strings.Join(words, " "), maxLine)
}

func worst(nodes []NodeVerdict) Status {
	for _, candidate := range []Status{StatusFailing, StatusWaiting, StatusPassed} {
		if slices.ContainsFunc(nodes, func(node NodeVerdict) bool { return node.Status == candidate }) {
			return candidate
		}
	}

	return StatusSkipped
}

// culprits names the nodes that are not whole. Nodes for which the same is to be said are named together.
func culprits(nodes []NodeVerdict) string {
	type group struct {
		reason string
		names  []string
	}

	var groups []*group

	for _, judged := range []Status{StatusFailing, StatusWaiting} {
		byReason := map[string]*group{}

		for _, node := range nodes {
			if node.Status != judged {
				continue
			}

			if byReason[node.Reason] == nil {
				byReason[node.Reason] = &group{reason: node.Reason}
				groups = append(groups, byReason[node.Reason])
			}

			byReason[node.Reason].names = append(byReason[node.Reason].names, node.Name)
		}
	}

	var (
		parts  []string
		others int
	)

	for i, group := range groups {
		if i < namedReasons {
			parts = append(parts, fmt.Sprintf("%s: %s", shorten(group.names), limit(group.reason)))
		} else {
			others += len(group.names)
		}
	}

	if others > 0 {
		parts = append(parts, "and "+counted(others, "more node", "more nodes"))
	}

	return strings.Join(parts, "; ")
}

// limit cuts what is too long.
func limit(reason string) string {
	if characters := []rune(reason); len(characters) > namedLength {
		return string(characters[:namedLength]) + "…"
	}

	return reason
}

// shorten names the first few and counts the rest.
func shorten(names []string) string {
	if len(names) <= namedNodes {
		return strings.Join(names, ", ")
	}

	return fmt.Sprintf("%s and %d more", strings.Join(names[:namedNodes], ", "), len(names)-namedNodes)
}

// summary counts the nodes of a cluster that has nothing left to wait for.
func summary(nodes []NodeVerdict) string {
	var recovered, disabled, skipped int

	for _, node := range nodes {
		switch {
		case node.Status == StatusSkipped:
			skipped++
		case node.Answer.Status.Phase == specs.PhaseDisabled:
			disabled++
		default:
			recovered++
		}
	}

	if skipped == len(nodes) {
		return fmt.Sprintf("nothing to check: %s without rebound", counted(skipped, "node is", "nodes are"))
	}

	var parts []string

	if recovered > 0 {
		parts = append(parts, counted(recovered, "node", "nodes")+" recovered")
	}

	if disabled > 0 {
		parts = append(parts, fmt.Sprintf("%d not part of Kubernetes", disabled))
	}

	if skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d left out, without rebound", skipped))
	}

	return strings.Join(parts, ", ")
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}

	return fmt.Sprintf("%d %s", n, many)
}
